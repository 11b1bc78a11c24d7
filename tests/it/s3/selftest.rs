//! Tests of the server itself, mostly with the real client.

mod faults;
mod http;
mod objects;
mod uploads;

use super::{REGION, TestS3};
use hyper::{Method, Request, StatusCode};
use object_store::{
    ClientOptions,
    aws::{AmazonS3, AwsAuthorizer},
    client::{HttpConnector, HttpRequestBody, ReqwestConnector},
};

const BUCKET: &str = "exports";

fn start() -> (TestS3, AmazonS3) {
    let s3 = TestS3::start();
    s3.create_bucket(BUCKET);
    let store = s3.store(BUCKET);
    (s3, store)
}

/// Sends a signed request that object_store has no method for; its URI begins with the bucket.
async fn send(s3: &TestS3, mut request: Request<HttpRequestBody>) -> (StatusCode, String) {
    *request.uri_mut() = format!("{}{}", s3.endpoint(), request.uri())
        .parse()
        .unwrap();
    let credential = s3
        .store(BUCKET)
        .credentials()
        .get_credential()
        .await
        .unwrap();
    AwsAuthorizer::new(&credential, "s3", REGION).authorize(&mut request, None);
    let options = ClientOptions::new().with_allow_http(true);
    let client = ReqwestConnector::default().connect(&options).unwrap();
    let (head, body) = client.execute(request).await.unwrap().into_parts();
    let body = body.bytes().await.unwrap();
    (head.status, String::from_utf8(body.to_vec()).unwrap())
}

async fn request(s3: &TestS3, method: Method, uri: &str) -> (StatusCode, String) {
    let request = Request::builder().method(method).uri(uri);
    send(s3, request.body(HttpRequestBody::empty()).unwrap()).await
}
