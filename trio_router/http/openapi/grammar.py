"""What the classes of request bodies do not say: the grammars and ranges of their fields, from the modules that check them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from trio_router.auth.accounts import MAX_PAGE
from trio_router.auth.keys import MAX_GRACE, MAX_LABEL
from trio_router.auth.passwords import MAX_PASSWORD
from trio_router.auth.revocations import MAX_KEPT
from trio_router.grants import GRANTS
from trio_router.names import MAX_APP_NAME, MAX_KEY_ID, MAX_NAME, MAX_USER_ID
from trio_router.permissions.decision import Action
from trio_router.scope import MAX_RESTRICTIONS, PERMISSIONS, UNUSED
from trio_router.storage.revocations import MAX_VALUE
from trio_router.tokens.access import MAX_LIFETIME
from trio_router.tokens.trust import LONGEST_LIFETIME

Json = dict[str, Any]

_SEGMENT: Final = "[A-Za-z0-9._@+~=-]*[A-Za-z0-9_@+~=-]"
_PATH: Final = f"{_SEGMENT}(/{_SEGMENT})*"

NAME: Final[Json] = {"type": "string", "maxLength": MAX_NAME, "pattern": f"^((pvt|prs|sys):)?{_PATH}$"}
KIND_NAME: Final[Json] = {"type": "string", "maxLength": MAX_NAME, "pattern": f"^(pvt|prs|sys):{_PATH}$"}
USER_ID: Final[Json] = {"type": "string", "maxLength": MAX_USER_ID, "pattern": "^[A-Za-z0-9._:@+~=|-]+$"}
SESSION_ID: Final[Json] = {"type": "string", "maxLength": 64, "pattern": "^[A-Za-z0-9_-]+$"}
APP_NAME: Final[Json] = {"type": "string", "maxLength": MAX_APP_NAME, "pattern": "^[A-Za-z0-9_-]+$"}
KEY_ID: Final[Json] = {"type": "string", "maxLength": MAX_KEY_ID, "pattern": "^[A-Za-z0-9_-]+$"}
PASSWORD: Final[Json] = {"type": "string", "minLength": 1, "maxLength": MAX_PASSWORD}
ACTION: Final[Json] = {"type": "string", "enum": [f"{action.section}.{action.verb}" for action in Action]}
PAGE: Final[Json] = {"type": "integer", "minimum": 1, "maximum": MAX_PAGE}
_NULL: Final[Json] = {"type": "null"}
_GRANTS: Final[Json] = {"type": "array", "items": {"type": "string", "enum": list(GRANTS)}}

PATH_PARAMETERS: Final[Mapping[str, Json]] = {
    "app": APP_NAME,
    "key_id": KEY_ID,
    "user_id": USER_ID,
    "channel": NAME,
    "number": SESSION_ID,
}

FIELDS: Final[Mapping[str, Mapping[str, Json]]] = {
    "NewToken": {
        "clientId": USER_ID,
        "permissions": {
            "type": "array",
            "items": {"type": "string", "enum": [word for word in PERMISSIONS if word not in UNUSED]},
            "default": ["*"],
        },
        "restrictions": {
            "anyOf": [
                {
                    "type": "array",
                    "maxItems": MAX_RESTRICTIONS,
                    "items": {"type": "string", "pattern": r"^([A-Za-z0-9_-]+|\*)([:/]([A-Za-z0-9_-]+|\*))*$"},
                },
                _NULL,
            ],
            "default": None,
        },
        "lifetime": {"type": "integer", "minimum": 1, "maximum": MAX_LIFETIME, "default": 3600},
    },
    "NewTrustToken": {
        "session": SESSION_ID,
        "channel": KIND_NAME,
        "sysid": {"anyOf": [USER_ID, _NULL], "default": None},
        "ttl": {"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST_LIFETIME, "default": 60.0},
    },
    "NewUser": {"id": USER_ID, "password": {"anyOf": [PASSWORD, _NULL], "default": None}},
    "NewPassword": {"password": PASSWORD},
    "NewApp": {
        "name": APP_NAME,
        "path": {"anyOf": [{"type": "string", "pattern": f"^/{_PATH}$"}, _NULL], "default": None},
    },
    "NewKey": {
        "id": {"anyOf": [KEY_ID, _NULL], "default": None},
        "label": {"type": "string", "maxLength": MAX_LABEL, "pattern": "^[ -~]*$", "default": ""},
        "grants": {"anyOf": [_GRANTS, _NULL], "default": None},
    },
    "KeyChange": {"grants": _GRANTS},
    "Rotation": {"grace": {"type": "number", "minimum": 0, "maximum": MAX_GRACE}},
    "NewRevocation": {
        "app": {**APP_NAME, "default": "default"},
        "value": {"type": "string", "maxLength": MAX_VALUE, "pattern": "^[!-~]*$", "default": ""},
        "kept": {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_KEPT},
    },
    "Question": {
        "user": USER_ID,
        "action": {"anyOf": [ACTION, {"$ref": "#/components/schemas/SectionAction"}]},
        "name": {"type": "string", "maxLength": MAX_NAME},
    },
}
"""By class and field."""
