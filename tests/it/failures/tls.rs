//! Stores whose certificates are not accepted: no retry helps.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::{CommandOutput, Sandbox, TestDestination};
use crate::world::world;

const NO_BUCKET: &str = "<Error><Code>NoSuchBucket</Code><Message>No such bucket</Message></Error>";

/// A server that has no bucket, with a certificate for `localhost`.
struct TlsServer {
    port: u16,
    /// The certificate, which is its own issuer, in PEM.
    certificate: String,
}

impl TlsServer {
    fn start() -> TlsServer {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind to loopback");
        let port = listener.local_addr().expect("an address").port();
        let signing_key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let name = format!("server at port {port}");
        parameters.distinguished_name.push(DnType::CommonName, name);
        let cert = parameters.self_signed(&signing_key).expect("a certificate");
        let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .expect("a certificate with its key");
        let config = Arc::new(config);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let connection = ServerConnection::new(Arc::clone(&config)).expect("a connection");
                // A client that does not accept the certificate goes.
                let _ = respond(StreamOwned::new(connection, stream));
            }
        });
        TlsServer {
            port,
            certificate: cert.pem(),
        }
    }
}

fn respond(mut stream: StreamOwned<ServerConnection, TcpStream>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let length = NO_BUCKET.len();
    let answer = format!(
        "HTTP/1.1 404 Not Found\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{NO_BUCKET}"
    );
    stream.write_all(answer.as_bytes())?;
    stream.flush()
}

/// Runs the export to an endpoint, with the issuers of a file.
fn run(endpoint: &str, issuers: &str) -> CommandOutput {
    let mut sandbox: Sandbox = world(TestDestination::s3());
    sandbox.write("issuers.pem", issuers.to_owned());
    let file = sandbox.folder().join("issuers.pem");
    sandbox.set_env("SSL_CERT_FILE", file.to_str().expect("UTF-8"));
    sandbox.set_env("AWS_ENDPOINT_URL", endpoint);
    sandbox.run(&["--date", "2026-01-15"])
}

#[test]
fn a_certificate_of_an_unknown_issuer_is_a_wrong_call() {
    let server = TlsServer::start();
    let other = TlsServer::start();
    let endpoint = format!("https://localhost:{}", server.port);
    let output = run(&endpoint, &other.certificate).exited_with(2);
    output
        .stderr_has("the issuer of the server's certificate is unknown")
        .stderr_has(&endpoint)
        .hint_has("SSL_CERT_FILE");
    run(&endpoint, &server.certificate)
        .exited_with(2)
        .stderr_has("NoSuchBucket: No such bucket");
}

#[test]
fn a_certificate_for_another_host_is_a_wrong_call() {
    let server = TlsServer::start();
    let endpoint = format!("https://127.0.0.1:{}", server.port);
    let output = run(&endpoint, &server.certificate).exited_with(2);
    output
        .stderr_has("the server's certificate is for another host name")
        .hint_has("AWS_ENDPOINT_URL");
}

#[test]
fn a_server_without_tls_is_a_wrong_call() {
    let server = TlsServer::start();
    let sandbox = world(TestDestination::s3());
    let url = &sandbox.destination.env();
    let plain = url.iter().find(|(name, _)| *name == "AWS_ENDPOINT_URL");
    let endpoint = plain.expect("an endpoint").1.replace("http://", "https://");
    let output = run(&endpoint, &server.certificate).exited_with(2);
    output
        .stderr_has("the server does not speak TLS")
        .hint_has("http://");
}
