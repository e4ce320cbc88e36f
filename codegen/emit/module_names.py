"""The names that one generated module uses: each is imported on its first use."""

from codegen.emit.python_source import Imports, alias, pb2_module, rest_module
from codegen.read.endpoints import snake
from codegen.read.model import Contract, Field, Kind, MessageType


class ModuleNames:
    """Names as the module of `file` spells them. `root` is the package that all generated modules lie in."""

    def __init__(self, contract: Contract, file: str, root: str) -> None:
        self._contract = contract
        self._root = root
        self.file = file
        self.imports = Imports()

    def runtime(self, name: str) -> str:
        """A function or limit of gateway.transcoding."""
        return self.imports.use("gateway.transcoding", name)

    def shape(self, name: str) -> str:
        """A type of gateway.contract."""
        return self.imports.use("gateway.contract", name)

    def message_class(self, message: MessageType) -> str:
        package, module = pb2_module(message.file)
        as_name = "pb" if message.file == self.file else alias(message.file, "_pb2")
        return f"{self.imports.use(package, module, as_name)}.{message.path}"

    def generated(self, file: str, name: str) -> str:
        """A name of a generated module: plain in its own, through the module elsewhere."""
        if file == self.file:
            return name
        package, module = rest_module(self._root, file)
        return f"{self.imports.use(package, module, alias(file))}.{name}"

    def message(self, full_name: str) -> MessageType:
        return self._contract.messages[full_name]

    def object_writer(self, message: MessageType) -> str:
        return self.generated(message.file, f"{snake(message.path)}_object")

    def resource_writer(self, message: MessageType) -> str:
        return self.generated(message.file, f"{snake(message.path)}_resource")

    def filler(self, message: MessageType) -> str:
        return self.generated(message.file, f"fill_{snake(message.path)}")

    def members(self, message: MessageType) -> str:
        """The set of a message's member names."""
        return self.generated(message.file, f"{snake(message.path).upper()}_MEMBERS")

    def enum_texts(self, full_name: str) -> str:
        enum = self._contract.enums[full_name]
        return self.generated(enum.file, f"{snake(enum.path).upper()}_TEXTS")

    def enum_numbers(self, full_name: str) -> str:
        enum = self._contract.enums[full_name]
        return self.generated(enum.file, f"{snake(enum.path).upper()}_NUMBERS")

    def sort_keys(self, full_name: str) -> str:
        enum = self._contract.enums[full_name]
        return self.generated(enum.file, f"{snake(enum.path).upper()}_KEYS")

    def map_entry(self, one: Field) -> tuple[Field, Field] | None:
        """Key and value of a map field; None for any other."""
        message = self._contract.messages.get(one.type_name) if one.kind is Kind.MESSAGE else None
        return (message.fields[0], message.fields[1]) if message is not None and message.is_map_entry else None
