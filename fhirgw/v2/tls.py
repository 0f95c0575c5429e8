"""TLS of the MLLP edge: contexts from files, and what a client certificate may be called."""

import ssl
from asyncio import BaseTransport
from pathlib import Path

from cryptography import x509

from fhirgw.errors import InvalidElement


def server_context(certificate: Path, key: Path | None, client_ca: Path | None) -> ssl.SSLContext:
    """A listener's context; with a client CA, every peer needs a certificate of it (mutual TLS).

    Raises:
        InvalidElement: A file cannot be read, or does not hold what it should.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError):
        raise InvalidElement(
            "The MLLP certificate, key or client CA cannot be read.", location="mllp_tls"
        ) from None
    return context


def client_context(
    ca: Path | None = None, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """A client's context: the system's CAs or one of its own, and a certificate where the server asks for one.

    Raises:
        InvalidElement: A file cannot be read, or does not hold what it should.
    """
    try:
        context = ssl.create_default_context(cafile=ca)
        if certificate is not None:
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError):
        raise InvalidElement("The certificate, key or CA cannot be read.", location="mllp_tls") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def certificate_names(transport: BaseTransport) -> frozenset[str]:
    """What the peer's certificate may be called in the senders file; empty when it showed none.

    Its subject as in RFC 4514 (``CN=adt.elm.example,O=Elm Hospital``) and its subject alternative names, each with
    its kind (``DNS:``, ``URI:``, ``email:``). The names are believed because TLS has verified the chain.
    """
    tls = transport.get_extra_info("ssl_object")
    der = tls.getpeercert(binary_form=True) if tls else None
    if not der:
        return frozenset()
    certificate = x509.load_der_x509_certificate(der)
    names = {certificate.subject.rfc4514_string()}
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset(names)
    kinds = (("DNS", x509.DNSName), ("URI", x509.UniformResourceIdentifier), ("email", x509.RFC822Name))
    for prefix, kind in kinds:
        names |= {f"{prefix}:{name}" for name in alternative.get_values_for_type(kind)}
    return frozenset(names)
