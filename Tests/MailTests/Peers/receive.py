"""A mail server for the tests: aiosmtpd on 127.0.0.1, which prints the port and then each mail it took, a JSON line each.

receive.py MODE PORT [CERTIFICATE KEY]

PORT 0 takes a free one. MODE is words with dashes between: plain, starttls or tls; login (no AUTH PLAIN); utf8 (SMTPUTF8).

The user is "jane@example.com" and the password "pass: wörd%". A recipient whose local part is a number from 400 to 599 is
refused with it; one that begins with "text-" and such a number has its text refused.
"""
import asyncio
import base64
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

USER, PASSWORD = b"jane@example.com", "pass: wörd%".encode()


def code_of(address, prefix=""):
    local = address.split("@")[0]
    if not local.startswith(prefix):
        return None
    local = local[len(prefix):]
    return local if local.isdigit() and 400 <= int(local) <= 599 else None


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        code = code_of(address)
        if code:
            return f"{code} the test wants it so"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        code = code_of(envelope.rcpt_tos[0], "text-")
        if code:
            return f"{code} the test wants it so"
        print(
            json.dumps(
                {
                    "from": envelope.mail_from,
                    "to": envelope.rcpt_tos,
                    "content": base64.b64encode(envelope.original_content).decode(),
                    "isEncrypted": server.transport.get_extra_info("sslcontext") is not None,
                    "user": (session.auth_data or b"").decode() if session.authenticated else None,
                    "name": session.host_name,
                }
            ),
            flush=True,
        )
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    if data.login == USER and data.password == PASSWORD:
        return AuthResult(success=True, auth_data=data.login)
    return AuthResult(success=False, handled=False)


async def main():
    mode = sys.argv[1]
    context = None
    if len(sys.argv) > 3:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[3], sys.argv[4])

    def make():
        return SMTP(
            Handler(),
            authenticator=authenticate,
            auth_require_tls="starttls" in mode,
            auth_exclude_mechanism=["PLAIN"] if "login" in mode else [],
            tls_context=context if "starttls" in mode else None,
            enable_SMTPUTF8="utf8" in mode,
            decode_data=False,
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(make, "127.0.0.1", int(sys.argv[2]), ssl=context if mode.startswith("tls") else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
