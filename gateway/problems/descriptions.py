"""Short descriptions of what is wrong with a value, in the caller's language; the error texts of the registry
(chassis.errors.reasons) put them where they say `{description}`. The English ones come from the code that found the problem
(the gateway, its generated transcoders, buf.validate), the Russian ones are looked up here.
"""

import re

SENTENCES_RU = tuple(
    (re.compile(english), russian)
    for english, russian in (
        # The gateway's own.
        ("the body must be a JSON object", "тело запроса должно быть объектом JSON"),
        ("the member data is required and must be an object", "член data обязателен и должен быть объектом"),
        ("the member type is required", "член type обязателен"),
        ("the member data is required", "член data обязателен"),
        ("the member id is required and must be a string", "член id обязателен и должен быть строкой"),
        ("must be a resource identifier object", "значение должно быть идентификатором ресурса"),
        ("must be a resource identifier object or null", "значение должно быть идентификатором ресурса или null"),
        (r"must not be \. or \.\.", "значение не может быть . или .."),
        ("must not contradict the address", "значение не должно противоречить адресу"),
        ("must not contradict the attribute (.+)", r"значение не должно противоречить атрибуту \1"),
        ("there is no field (.+)", r"поля \1 здесь нет"),
        ("must be one sort field", "сортировать можно только по одному полю"),
        ("the query is not percent-encoded UTF-8", "адрес должен быть в UTF-8 с процентным кодированием"),
        ("the query has too many parameters", "слишком много параметров"),
        ("this address is a WebSocket", "по этому адресу находится WebSocket"),
        ("this address is a stream", "по этому адресу находится поток событий"),
        ("the HTTP message is malformed", "сообщение HTTP составлено неверно"),
        ("must be a number of seconds greater than 0", "значение должно быть числом секунд больше 0"),
        (
            "must be one of 1 to (.+) printable ASCII characters",
            r"должен быть один, длиной от 1 до \1 печатных символов ASCII",
        ),
        (r"must be entity tags or \*", "значение должно быть тегами сущности или *"),
        (
            "what is at this address cannot be read, so nothing can be compared",
            "того, что находится по этому адресу, нельзя прочесть, и сравнить не с чем",
        ),
        ("what is at this address has another entity tag now", "у того, что находится по этому адресу, уже другой тег"),
        ("there is nothing at this address", "по этому адресу ничего нет"),
        (
            "there is something at this address that the request does not want there",
            "по этому адресу уже есть то, чего запрос там не ждёт",
        ),
        # The services'.
        ("the service refuses it", "сервис его не принимает"),
        ("does not match the current version", "значение не соответствует текущей версии"),
        ("must have a character that can be seen", "нужен хотя бы один видимый символ"),
        (
            r"must have no character U\+0000 and only finite numbers",
            "не должно быть символа U+0000 и чисел, которые не конечны",
        ),
        # The transcoders'.
        ("is not known here", "здесь такого нет"),
        ("must not be given twice", "значение дано дважды"),
        ("must not be given together with (.+)", r"нельзя указать вместе с \1"),
        ("must not be mixed with (.+)", r"нельзя смешивать с \1"),
        ("must be an array", "значение должно быть массивом"),
        ("must be an object", "значение должно быть объектом"),
        ("must be true or false", "значение должно быть true или false"),
        ("must be a base64 string", "значение должно быть строкой base64"),
        ("must not be nested deeper than (.+) levels", r"вложенность не может быть больше \1"),
        ("(?:value )?must be one of the defined enum values", "значение не из числа допустимых"),
        ("must be one of (.+)", r"допустимые значения: \1"),
        ("must be an integer from (.+) to (.+)", r"значение должно быть целым числом от \1 до \2"),
        ("must be an integer", "значение должно быть целым числом"),
        ("must be a (?:finite )?number", "значение должно быть числом"),
        ("must be a string", "значение должно быть строкой"),
        ("must be text in UTF-8", "значение должно быть текстом в UTF-8"),
        ("must be an RFC 3339 time", "значение должно быть временем по RFC 3339"),
        # Those of buf.validate.
        ("value is required", "значение обязательно"),
        ("must be a valid UUID", "значение должно быть UUID"),
        ("value is empty, which is not a valid UUID", "значение пусто, а должно быть UUID"),
        (
            "must be greater than or equal to (.+) and less than or equal to (.+)",
            r"значение должно быть от \1 до \2",
        ),
        ("must be greater than or equal to (.+)", r"значение должно быть не меньше \1"),
        ("must be less than or equal to (.+)", r"значение должно быть не больше \1"),
        ("must be greater than (.+)", r"значение должно быть больше \1"),
        ("must be less than (.+)", r"значение должно быть меньше \1"),
        (r"must be at least (\d+) characters?", r"длина должна быть не меньше \1"),
        (r"must be at most (\d+) characters?", r"длина должна быть не больше \1"),
        (r"must be (\d+) characters?", r"длина должна быть \1"),
        (r"must contain at least (\d+) item.*", r"элементов должно быть не меньше \1"),
        (r"must contain no more than (\d+) item.*", r"элементов должно быть не больше \1"),
        (r"map must be at most (\d+) entries", r"элементов должно быть не больше \1"),
        ("must not be in list (.+)", r"недопустимые значения: \1"),
        ("must be in list (.+)", r"допустимые значения: \1"),
        ("does not match regex pattern (.+)", r"значение не соответствует образцу \1"),
        ("repeated value must contain unique items", "элементы не должны повторяться"),
    )
)


def describe(sentence: str, language: str) -> str:
    """The sentence in the caller's language; one that is not known in it stays English."""
    if language == "en":
        return sentence
    for english, russian in SENTENCES_RU:
        found = english.fullmatch(sentence)
        if found is not None:
            return found.expand(russian)
    return sentence
