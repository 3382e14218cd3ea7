"""TLS whose certificates are replaced without a restart."""

from __future__ import annotations

import asyncio
from typing import Final

import grpc
import structlog

from whence.errors import InvalidRequestError
from whence_service.rpc.certificates import Certificates, TlsFiles, read
from whence_service.rpc.records import CertificateRecord, Observer, ignore

_log: Final = structlog.get_logger(__name__)


class CertificateWatch:
    """Owns the certificates that one end of TLS uses: the last that were read and are valid.

    State: ``current``, and the problem of files that were not taken. Only :meth:`look` changes them, on the event loop;
    ``current`` is replaced as a whole, so that every thread may read it. The first ones are read here: raises what
    :func:`~whence_service.rpc.certificates.read` raises.
    """

    def __init__(self, files: TlsFiles, observe: Observer = ignore) -> None:
        self._files = files
        self._observe = observe
        self._problem = ""
        self.current = read(files)
        self._record(reloaded=False)

    def __repr__(self) -> str:
        return f"<CertificateWatch {self._files.hop} {dict(self.current.expires_at)} {self._problem or 'in order'}>"

    async def look(self) -> None:
        """Read the files again. Those that cannot be used change nothing but the log and the metric."""
        try:
            latest = await asyncio.to_thread(read, self._files)
        except InvalidRequestError as error:
            self._reject(error.message)
            return
        reloaded, mended = latest != self.current, bool(self._problem)
        self._problem = ""
        if reloaded:
            self.current = latest
            _log.info("certificates reloaded", hop=self._files.hop, expires_at=dict(latest.expires_at))
        if reloaded or mended:
            self._record(reloaded=reloaded)

    async def look_every(self, seconds: float) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.look()
            except Exception:
                _log.exception("looking at the certificates failed; those in use stay in use")

    def _reject(self, problem: str) -> None:
        if problem != self._problem:
            _log.warning("certificates rejected; those in use stay in use", hop=self._files.hop, error=problem)
        self._problem = problem
        self._record(reloaded=False)

    def _record(self, *, reloaded: bool) -> None:
        self._observe(
            CertificateRecord(
                hop=self._files.hop,
                expires_at=self.current.expires_at,
                reloaded=reloaded,
                rejected=bool(self._problem),
            )
        )


def server_credentials(watch: CertificateWatch) -> grpc.ServerCredentials:
    """Return credentials that give each new connection the watch's certificates of then.

    Where there are authorities, clients must have a certificate of theirs. Versions and ciphers are gRPC's defaults.
    """
    used = watch.current

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        # At every handshake, in a thread of gRPC's, one at a time. None: as before, which spares building it anew.
        nonlocal used
        if watch.current is used:
            return None
        used = watch.current
        return _configuration(used)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(used),
        renewed,  # type: ignore[arg-type] # gRPC takes None, which its types leave out
        require_client_authentication=bool(used.authorities),
    )


def channel_credentials(certificates: Certificates) -> grpc.ChannelCredentials:
    """Return the credentials of a channel: the authorities to trust, and our own certificate if there is one."""
    return grpc.ssl_channel_credentials(
        certificates.authorities or None, certificates.key or None, certificates.chain or None
    )


def _configuration(certificates: Certificates) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(certificates.key, certificates.chain)], certificates.authorities or None
    )
