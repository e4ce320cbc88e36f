-- The load of `bench.gateway`, run by wrk: one request over and over, each time in the next user's name. Prints what it saw as JSON.
local requests, turn = {}, 0

local function read(name)
    local file = assert(io.open(os.getenv(name), "rb"))
    local content = file:read("*a")
    file:close()
    return content
end

function init()
    local headers = { ["Accept"] = os.getenv("BENCH_ACCEPT") }
    local body = read("BENCH_BODY")
    if body == "" then
        body = nil
    else
        headers["Content-Type"] = os.getenv("BENCH_CONTENT_TYPE")
    end
    for token in read("BENCH_TOKENS"):gmatch("%S+") do
        headers["Authorization"] = "Bearer " .. token
        requests[#requests + 1] = wrk.format(os.getenv("BENCH_METHOD"), os.getenv("BENCH_PATH"), headers, body)
    end
end

function request()
    turn = turn % #requests + 1
    return requests[turn]
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '\n{"requests": %d, "microseconds": %d, "p50_us": %d, "p99_us": %d, "refused": %d, "broken": %d}\n',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status,
        errors.connect + errors.read + errors.write + errors.timeout
    ))
end
