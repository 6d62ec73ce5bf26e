"""A peer of mutls on Python's ssl: --role client|server, further flags in README.md. Prints one line of JSON a connection."""

import argparse
import json
import platform
import socket
import ssl
import sys

CURVES = {"secp256r1": "prime256v1"}


def flags():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("role", "cert", "key", "ca", "groups", "alpn"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--port", type=int)
    parser.add_argument("--connections", type=int, default=1)
    return parser.parse_args()


def configuration(options):
    server = options.role == "server"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(options.cert, options.key)
    context.load_verify_locations(options.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    if options.alpn:
        context.set_alpn_protocols([options.alpn])
    if options.groups:
        context.set_ecdh_curve(CURVES.get(options.groups, options.groups))
    return context


def serve(options, context):
    listener = socket.create_server(("127.0.0.1", 0))
    say({"port": listener.getsockname()[1], "version": version()})
    for _ in range(options.connections):
        plain, _ = listener.accept()
        with context.wrap_socket(plain, server_side=True) as tls:
            seen = facts(tls)
            lines = 0
            stream = tls.makefile("rwb", buffering=0)
            while line := stream.readline():
                stream.write(line)
                lines += 1
            tls.unwrap()
        say({**seen, "lines": lines})


def connect(options, context):
    say({"version": version()})
    session = None
    for _ in range(options.connections):
        plain = socket.create_connection(("127.0.0.1", options.port))
        with context.wrap_socket(plain, server_hostname="localhost", session=session) as tls:
            seen = facts(tls)
            lines = 0
            stream = tls.makefile("rwb", buffering=0)
            for line in (b"first\n", b"second\n"):
                stream.write(line)
                lines += stream.readline() == line
            session = tls.session
            tls.unwrap()
        say({**seen, "lines": lines})


def facts(tls):
    return {
        "protocol": tls.version(),
        "suite": tls.cipher()[0],
        "alpn": tls.selected_alpn_protocol() or "",
        "peer": common_name(tls),
        "resumed": tls.session_reused,
    }


def common_name(tls):
    subject = (tls.getpeercert() or {}).get("subject", ())
    return dict(name for names in subject for name in names).get("commonName")


def version():
    return f"Python {platform.python_version()} ({ssl.OPENSSL_VERSION.split(' ')[1]})"


def say(line):
    print(json.dumps(line), flush=True)


def main():
    options = flags()
    try:
        (serve if options.role == "server" else connect)(options, configuration(options))
    except OSError as error:
        say({"error": str(error)})
        sys.exit(1)


main()
