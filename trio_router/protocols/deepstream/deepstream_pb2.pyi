from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Message(_message.Message):
    __slots__ = ("topic", "message")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    topic: int
    message: bytes
    def __init__(self, topic: _Optional[int] = ..., message: _Optional[bytes] = ...) -> None: ...

class Connection(_message.Message):
    __slots__ = ("action", "data", "isError", "isAck", "url", "protocolVersion", "sdkVersion", "sdkType")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    ISERROR_FIELD_NUMBER: _ClassVar[int]
    ISACK_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    PROTOCOLVERSION_FIELD_NUMBER: _ClassVar[int]
    SDKVERSION_FIELD_NUMBER: _ClassVar[int]
    SDKTYPE_FIELD_NUMBER: _ClassVar[int]
    action: int
    data: str
    isError: bool
    isAck: bool
    url: str
    protocolVersion: str
    sdkVersion: str
    sdkType: str
    def __init__(self, action: _Optional[int] = ..., data: _Optional[str] = ..., isError: bool = ..., isAck: bool = ..., url: _Optional[str] = ..., protocolVersion: _Optional[str] = ..., sdkVersion: _Optional[str] = ..., sdkType: _Optional[str] = ...) -> None: ...

class Auth(_message.Message):
    __slots__ = ("action", "data", "isError", "isAck")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    ISERROR_FIELD_NUMBER: _ClassVar[int]
    ISACK_FIELD_NUMBER: _ClassVar[int]
    action: int
    data: str
    isError: bool
    isAck: bool
    def __init__(self, action: _Optional[int] = ..., data: _Optional[str] = ..., isError: bool = ..., isAck: bool = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("action", "data", "correlationId", "isError", "isAck", "name", "names", "subscription", "originalTOPIC", "originalAction")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    CORRELATIONID_FIELD_NUMBER: _ClassVar[int]
    ISERROR_FIELD_NUMBER: _ClassVar[int]
    ISACK_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTION_FIELD_NUMBER: _ClassVar[int]
    ORIGINALTOPIC_FIELD_NUMBER: _ClassVar[int]
    ORIGINALACTION_FIELD_NUMBER: _ClassVar[int]
    action: int
    data: str
    correlationId: str
    isError: bool
    isAck: bool
    name: str
    names: _containers.RepeatedScalarFieldContainer[str]
    subscription: str
    originalTOPIC: int
    originalAction: int
    def __init__(self, action: _Optional[int] = ..., data: _Optional[str] = ..., correlationId: _Optional[str] = ..., isError: bool = ..., isAck: bool = ..., name: _Optional[str] = ..., names: _Optional[_Iterable[str]] = ..., subscription: _Optional[str] = ..., originalTOPIC: _Optional[int] = ..., originalAction: _Optional[int] = ...) -> None: ...

class Rpc(_message.Message):
    __slots__ = ("action", "data", "correlationId", "isError", "isAck", "names", "name", "originalAction", "requestorName", "requestorData")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    CORRELATIONID_FIELD_NUMBER: _ClassVar[int]
    ISERROR_FIELD_NUMBER: _ClassVar[int]
    ISACK_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ORIGINALACTION_FIELD_NUMBER: _ClassVar[int]
    REQUESTORNAME_FIELD_NUMBER: _ClassVar[int]
    REQUESTORDATA_FIELD_NUMBER: _ClassVar[int]
    action: int
    data: str
    correlationId: str
    isError: bool
    isAck: bool
    names: _containers.RepeatedScalarFieldContainer[str]
    name: str
    originalAction: int
    requestorName: str
    requestorData: str
    def __init__(self, action: _Optional[int] = ..., data: _Optional[str] = ..., correlationId: _Optional[str] = ..., isError: bool = ..., isAck: bool = ..., names: _Optional[_Iterable[str]] = ..., name: _Optional[str] = ..., originalAction: _Optional[int] = ..., requestorName: _Optional[str] = ..., requestorData: _Optional[str] = ...) -> None: ...

class Presence(_message.Message):
    __slots__ = ("action", "originalTOPIC", "originalAction", "data", "correlationId", "isError", "isAck", "name", "names")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    ORIGINALTOPIC_FIELD_NUMBER: _ClassVar[int]
    ORIGINALACTION_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    CORRELATIONID_FIELD_NUMBER: _ClassVar[int]
    ISERROR_FIELD_NUMBER: _ClassVar[int]
    ISACK_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    action: int
    originalTOPIC: int
    originalAction: int
    data: str
    correlationId: str
    isError: bool
    isAck: bool
    name: str
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, action: _Optional[int] = ..., originalTOPIC: _Optional[int] = ..., originalAction: _Optional[int] = ..., data: _Optional[str] = ..., correlationId: _Optional[str] = ..., isError: bool = ..., isAck: bool = ..., name: _Optional[str] = ..., names: _Optional[_Iterable[str]] = ...) -> None: ...

class Record(_message.Message):
    __slots__ = ("action", "data", "correlationId", "isError", "isAck", "name", "names", "pattern", "subscription", "originalAction", "isWriteAck", "path", "version", "versions")
    class VersionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ACTION_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    CORRELATIONID_FIELD_NUMBER: _ClassVar[int]
    ISERROR_FIELD_NUMBER: _ClassVar[int]
    ISACK_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTION_FIELD_NUMBER: _ClassVar[int]
    ORIGINALACTION_FIELD_NUMBER: _ClassVar[int]
    ISWRITEACK_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    action: int
    data: str
    correlationId: str
    isError: bool
    isAck: bool
    name: str
    names: _containers.RepeatedScalarFieldContainer[str]
    pattern: str
    subscription: str
    originalAction: int
    isWriteAck: bool
    path: str
    version: int
    versions: _containers.ScalarMap[str, int]
    def __init__(self, action: _Optional[int] = ..., data: _Optional[str] = ..., correlationId: _Optional[str] = ..., isError: bool = ..., isAck: bool = ..., name: _Optional[str] = ..., names: _Optional[_Iterable[str]] = ..., pattern: _Optional[str] = ..., subscription: _Optional[str] = ..., originalAction: _Optional[int] = ..., isWriteAck: bool = ..., path: _Optional[str] = ..., version: _Optional[int] = ..., versions: _Optional[_Mapping[str, int]] = ...) -> None: ...

class Parser(_message.Message):
    __slots__ = ("action", "data", "originalTOPIC", "originalAction")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    ORIGINALTOPIC_FIELD_NUMBER: _ClassVar[int]
    ORIGINALACTION_FIELD_NUMBER: _ClassVar[int]
    action: int
    data: str
    originalTOPIC: int
    originalAction: int
    def __init__(self, action: _Optional[int] = ..., data: _Optional[str] = ..., originalTOPIC: _Optional[int] = ..., originalAction: _Optional[int] = ...) -> None: ...
