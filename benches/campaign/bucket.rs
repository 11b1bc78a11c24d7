//! The bucket behind a campaign on S3, without the proxy.

use std::collections::{BTreeMap, HashMap};
use std::net::{SocketAddr, ToSocketAddrs};

use bytes::Bytes;
use futures::TryStreamExt;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsAuthorizer};
use object_store::client::{HttpClient, HttpConnector, HttpRequestBody, ReqwestConnector};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{ClientOptions, ObjectMeta, ObjectStore, ObjectStoreExt};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::runtime::Handle;
use url::Url;

/// The number of concurrent reads.
const READS: usize = 8;

/// A bucket, and the folder in it.
pub(crate) struct Bucket {
    runtime: Handle,
    client: AmazonS3,
    http: HttpClient,
    endpoint: Url,
    region: String,
    name: String,
    /// The objects that were read, by key and ETag.
    read: Mutex<HashMap<(Path, Option<String>), Bytes>>,
}

/// An upload that is neither completed nor aborted.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct UnfinishedUpload {
    pub key: String,
    pub upload_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedUploads {
    #[serde(default, rename = "Upload")]
    uploads: Vec<UnfinishedUpload>,
}

/// Returns a variable of the environment.
fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "as the program is configured")]
    std::env::var(name).ok()
}

impl Bucket {
    /// Opens a bucket with the AWS environment. Creates it if it does not exist.
    pub(crate) fn open(runtime: Handle, name: &str) -> Self {
        let endpoint = variable("AWS_ENDPOINT_URL_S3").or_else(|| variable("AWS_ENDPOINT_URL"));
        let endpoint = endpoint.expect("AWS_ENDPOINT_URL names the server");
        let region = variable("AWS_REGION").unwrap_or_else(|| "us-east-1".to_owned());
        let options = ClientOptions::new().with_allow_http(true);
        let client = AmazonS3Builder::from_env()
            .with_bucket_name(name)
            .with_endpoint(&endpoint)
            .with_region(&region)
            .with_client_options(options.clone())
            .build();
        let http = ReqwestConnector::default().connect(&options);
        let endpoint: Url = endpoint.parse().expect("an address");
        assert_eq!(endpoint.scheme(), "http", "the proxy does not speak TLS");
        let bucket = Self {
            runtime,
            client: client.expect("a client of S3"),
            http: http.expect("a client"),
            endpoint,
            region,
            name: name.to_owned(),
            read: Mutex::default(),
        };
        // It may exist.
        bucket.runtime.block_on(bucket.call(Method::PUT, ""));
        let (status, body) = bucket
            .runtime
            .block_on(bucket.call(Method::GET, "?uploads="));
        assert_eq!(
            status,
            StatusCode::OK,
            "`{name}` does not list uploads: {body}"
        );
        bucket
    }

    /// Returns the address of the server.
    pub(crate) fn server(&self) -> SocketAddr {
        let host = self.endpoint.host_str().expect("a host");
        let port = self.endpoint.port_or_known_default().expect("a port");
        let mut addresses = (host, port).to_socket_addrs().expect("a known host");
        addresses.next().expect("an address")
    }

    /// Returns the variables that configure the program, which sends its requests to `endpoint`.
    pub(crate) fn variables(&self, endpoint: &str) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("AWS_ENDPOINT_URL", endpoint.to_owned()),
            ("AWS_REGION", self.region.clone()),
        ];
        for name in [
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
        ] {
            variables.extend(variable(name).map(|value| (name, value)));
        }
        variables
    }

    /// Reads every object below a prefix; the keys are relative to it.
    pub(crate) fn objects(&self, prefix: &str) -> BTreeMap<String, Bytes> {
        let folder = Path::from(prefix);
        let read = async |meta: ObjectMeta| {
            let version = (meta.location.clone(), meta.e_tag.clone());
            let known = self.read.lock().get(&version).cloned();
            let bytes = match known {
                Some(bytes) => bytes,
                None => self.client.get(&meta.location).await?.bytes().await?,
            };
            self.read.lock().insert(version, bytes.clone());
            let key = meta.location.as_ref()[folder.as_ref().len() + 1..].to_owned();
            Ok((key, bytes))
        };
        let objects = self.client.list(Some(&folder)).map_ok(read);
        let all = objects.try_buffered(READS).try_collect();
        let all: object_store::Result<_> = self.runtime.block_on(all);
        all.expect("read the export")
    }

    /// Lists the uploads below a prefix that are neither completed nor aborted.
    pub(crate) fn uploads(&self, prefix: &str) -> Vec<UnfinishedUpload> {
        let target = format!("?prefix={}%2F&uploads=", prefix.replace('/', "%2F"));
        let (status, body) = self.runtime.block_on(self.call(Method::GET, &target));
        assert_eq!(status, StatusCode::OK, "the list of uploads: {body}");
        let listed: ListedUploads = quick_xml::de::from_str(&body).expect("a list of uploads");
        listed.uploads
    }

    /// Aborts all uploads below a prefix. Returns their number.
    pub(crate) fn abort_uploads(&self, prefix: &str) -> u64 {
        let mut aborted = 0;
        // A response has at most 1,000.
        loop {
            let uploads = self.uploads(prefix);
            if uploads.is_empty() {
                return aborted;
            }
            for upload in uploads {
                let path = Path::from(upload.key);
                let abort = self.client.abort_multipart(&path, &upload.upload_id);
                // It may have been completed since.
                aborted += u64::from(self.runtime.block_on(abort).is_ok());
            }
        }
    }

    /// Sends a signed request for the bucket.
    async fn call(&self, method: Method, target: &str) -> (StatusCode, String) {
        let credentials = self.client.credentials().get_credential().await;
        let credentials = credentials.expect("credentials");
        let endpoint = self.endpoint.as_str().trim_end_matches('/');
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{endpoint}/{}{target}", self.name))
            .body(HttpRequestBody::empty())
            .expect("a request");
        AwsAuthorizer::new(&credentials, "s3", &self.region).authorize(&mut request, None);
        let response = self.http.execute(request).await.expect("a response");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        (parts.status, String::from_utf8_lossy(&body).into_owned())
    }
}
