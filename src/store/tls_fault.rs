//! Tells faults of TLS, which no retry can mend, from faults of the connection.

use std::error::Error as StdError;

use rustls::{CertificateError, Error as TlsError, InvalidMessage};

use crate::error::{Error, causes};

/// Returns what is wrong with the certificate of a server, or with its TLS, if that is the cause of
/// `error`.
pub(super) fn tls_fault(error: &(dyn StdError + 'static)) -> Option<Error> {
    let fault = causes(error).find_map(|cause| cause.downcast_ref::<TlsError>())?;
    let wrong = |what: &str, hint: &str| Some(Error::invalid(what).with_hint(hint));
    match fault {
        TlsError::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => wrong(
            "the issuer of the server's certificate is unknown",
            "if the server is the right one, set SSL_CERT_FILE to a file with the certificate of its issuer",
        ),
        TlsError::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => wrong(
            "the server's certificate is for another host name",
            "set AWS_ENDPOINT_URL to a host name of the certificate",
        ),
        TlsError::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => wrong(
            "the server's certificate is not valid at this time",
            "renew the certificate, or set the clock of this machine",
        ),
        TlsError::InvalidMessage(InvalidMessage::InvalidContentType) => wrong(
            "the server does not speak TLS",
            "if it is meant to be without encryption, write http:// in AWS_ENDPOINT_URL",
        ),
        TlsError::InvalidCertificate(_) | TlsError::PeerIncompatible(_) => wrong(
            &fault.to_string(),
            "the server's certificate or its version of TLS is not accepted: change the server",
        ),
        _ => None,
    }
}

/// Returns the message of the innermost cause of an error.
pub(super) fn innermost(error: &(dyn StdError + 'static)) -> String {
    let last = causes(error).last();
    last.map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn faults_of_tls_are_found_below_those_of_the_connection() {
        let faults = [
            (
                TlsError::InvalidCertificate(CertificateError::UnknownIssuer),
                "issuer",
            ),
            (
                TlsError::InvalidCertificate(CertificateError::NotValidForName),
                "host name",
            ),
            (
                TlsError::InvalidCertificate(CertificateError::Expired),
                "at this time",
            ),
            (
                TlsError::InvalidMessage(InvalidMessage::InvalidContentType),
                "speak TLS",
            ),
            (
                TlsError::InvalidCertificate(CertificateError::Revoked),
                "Revoked",
            ),
        ];
        for (fault, text) in faults {
            let connection =
                Error::unavailable("no connection").with_source(io::Error::other(fault));
            let found = tls_fault(&connection).unwrap();
            assert_eq!(found.kind(), ErrorKind::Invalid);
            assert!(found.to_string().contains(text), "{found}");
            assert!(found.hint().is_some());
        }
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert!(tls_fault(&refused).is_none());
        assert_eq!(
            innermost(&Error::data("a").with_source(refused)),
            "connection refused"
        );
        assert!(tls_fault(&io::Error::other(TlsError::DecryptError)).is_none());
    }
}
