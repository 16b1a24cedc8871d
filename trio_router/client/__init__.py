"""The Trio client library: ``async with connect(url, login) as client``. Everything a program needs is here."""

from __future__ import annotations

from trio_router.client.backoff import Backoff
from trio_router.client.client import Client
from trio_router.client.connect import connect
from trio_router.client.errors import (
    CallError,
    CallRejected,
    ClientError,
    ConnectFailed,
    ConnectionEnded,
    ConnectionLost,
    Lagged,
    LoginDenied,
    LoginRefused,
    LoginUnavailable,
    RequestRefused,
)
from trio_router.client.feeds import Feed
from trio_router.client.http import HttpFailed
from trio_router.client.key_auth import KeyAuth
from trio_router.client.listening import ChannelHandler, Listening
from trio_router.client.offers import Handler, Invocation, Offer
from trio_router.client.rest import Rest, Token
from trio_router.client.token_auth import TokenAuth
from trio_router.client.trust import AccessToken, NoToken, TokenEndpoint
from trio_router.client.values import Change, Event, ParticipantEvent, Presence
from trio_router.payload import ABSENT

__all__ = [
    "ABSENT",
    "AccessToken",
    "Backoff",
    "CallError",
    "CallRejected",
    "Change",
    "ChannelHandler",
    "Client",
    "ClientError",
    "ConnectFailed",
    "ConnectionEnded",
    "ConnectionLost",
    "Event",
    "Feed",
    "Handler",
    "HttpFailed",
    "Invocation",
    "KeyAuth",
    "Lagged",
    "Listening",
    "LoginDenied",
    "LoginRefused",
    "LoginUnavailable",
    "NoToken",
    "Offer",
    "ParticipantEvent",
    "Presence",
    "RequestRefused",
    "Rest",
    "Token",
    "TokenAuth",
    "TokenEndpoint",
    "connect",
]
