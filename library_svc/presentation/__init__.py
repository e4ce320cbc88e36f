"""The wires into the library: gRPC servicers and event consumers. They decode, call one use case, and encode."""
