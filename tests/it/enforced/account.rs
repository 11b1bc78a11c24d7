//! An account of ministack, whose buckets, users and roles are set up by signed requests.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::BodyExt;
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequestBody, ReqwestConnector,
};
use object_store::{Certificate, ClientOptions};
use url::form_urlencoded;

use super::server::{RESPONSE_TIMEOUT, Server};

pub(super) const REGION: &str = "us-east-1";
pub(super) const ACCOUNT: &str = "000000000000";

/// An access key.
pub(super) struct Key {
    pub(super) id: String,
    pub(super) secret: String,
}

pub(super) struct Account {
    pub(super) server: Server,
    client: HttpClient,
    endpoint: String,
    runtime: tokio::runtime::Runtime,
    root: Key,
}

impl Account {
    /// Starts ministack and opens its account, or returns `None` if ministack is not installed.
    pub(super) fn open(tls: bool) -> Option<Account> {
        let server = Server::ministack(tls)?;
        let mut options = ClientOptions::new()
            .with_allow_http(true)
            .with_connect_timeout(RESPONSE_TIMEOUT)
            .with_timeout(RESPONSE_TIMEOUT)
            // A connection that the server has closed in the meantime would fail a call.
            .with_pool_max_idle_per_host(0);
        let mut scheme = "http";
        if tls {
            let pem = std::fs::read(server.authority()).expect("a certificate");
            let authority = Certificate::from_pem(&pem).expect("PEM");
            options = options.with_root_certificate(authority);
            scheme = "https";
        }
        let client = ReqwestConnector::default()
            .connect(&options)
            .expect("a client");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let endpoint = format!("{scheme}://127.0.0.1:{}", server.port());
        let root = Key {
            id: "test".to_owned(),
            secret: "test".to_owned(),
        };
        let mut account = Account {
            server,
            client,
            endpoint,
            runtime,
            root,
        };
        // The server is up when it responds to a signed request.
        let answer = account.send(&account.root, "s3", Method::GET, "/", Bytes::new());
        if !matches!(answer, Ok((200, _))) {
            panic!("{answer:?}\n{}", account.server.exit_report());
        }
        Some(account)
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Sends a signed request, and returns the status and the body.
    pub(super) fn call(
        &self,
        key: &Key,
        service: &str,
        method: Method,
        target: &str,
        body: impl Into<Bytes>,
    ) -> (u16, String) {
        let answer = self.send(key, service, method, target, body.into());
        answer.expect("an answer")
    }

    fn send(
        &self,
        key: &Key,
        service: &str,
        method: Method,
        target: &str,
        body: Bytes,
    ) -> Result<(u16, String), HttpError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{target}", self.endpoint))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(HttpRequestBody::from(body))
            .expect("a request");
        let credential = AwsCredential {
            key_id: key.id.clone(),
            secret_key: key.secret.clone(),
            token: None,
        };
        AwsAuthorizer::new(&credential, service, REGION).authorize(&mut request, None);
        self.runtime.block_on(async {
            let answer = self.client.execute(request).await?;
            let status = answer.status().as_u16();
            let body = answer.into_body().collect().await?.to_bytes();
            Ok((status, String::from_utf8_lossy(&body).into_owned()))
        })
    }

    /// Sends a request of the owner, which must succeed.
    pub(super) fn s3(&self, method: Method, target: &str, body: impl Into<Bytes>) -> String {
        let (status, body) = self.call(&self.root, "s3", method, target, body);
        assert!((200..300).contains(&status), "{target}: {status} {body}");
        body
    }

    pub(super) fn iam(&self, action: &str, arguments: &[(&str, &str)]) -> String {
        let form: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", action)
            .append_pair("Version", "2010-05-08")
            .extend_pairs(arguments)
            .finish();
        let (status, body) = self.call(&self.root, "iam", Method::POST, "/", form);
        assert_eq!(status, 200, "{action}: {body}");
        body
    }

    /// Creates a user without permissions, and returns its access key.
    pub(super) fn user(&self, name: &str) -> Key {
        self.iam("CreateUser", &[("UserName", name)]);
        let answer = self.iam("CreateAccessKey", &[("UserName", name)]);
        let text = |element: &str| {
            let (_, rest) = answer
                .split_once(&format!("<{element}>"))
                .expect("an element");
            let (text, _) = rest.split_once('<').expect("an end");
            text.to_owned()
        };
        Key {
            id: text("AccessKeyId"),
            secret: text("SecretAccessKey"),
        }
    }

    /// Lists all keys of a bucket as its owner.
    pub(super) fn keys(&self, bucket: &str) -> Vec<String> {
        let listing = self.s3(Method::GET, &format!("/{bucket}?list-type=2"), "");
        let keys = listing.split("<Key>").skip(1);
        keys.filter_map(|rest| rest.split("</Key>").next().map(str::to_owned))
            .collect()
    }
}
