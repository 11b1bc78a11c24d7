//! Tests of authentication, buckets, child processes, and the operation of a request.

use super::super::{ACCESS_KEY_ID, Operation, TestS3, operation::Target};
use super::{BUCKET, request, start};
use hyper::{HeaderMap, Method, StatusCode, Uri};
use object_store::{Error, ObjectStoreExt, aws::AmazonS3, path::Path};
use std::{
    collections::HashMap,
    io::{Read, Write},
    net::TcpStream,
};

#[tokio::test]
async fn strangers_are_refused() {
    let (s3, _) = start();
    let path = Path::from("key");
    let refusal = async |store: AmazonS3| store.put(&path, "data".into()).await.unwrap_err();

    let wrong_secret = s3
        .store_builder(BUCKET)
        .with_secret_access_key("wrong")
        .build();
    let error = refusal(wrong_secret.unwrap()).await;
    assert!(matches!(error, Error::PermissionDenied { .. }), "{error:?}");
    assert!(
        error.to_string().contains("SignatureDoesNotMatch"),
        "{error}"
    );

    let wrong_id = s3
        .store_builder(BUCKET)
        .with_access_key_id("AKIAWRONG")
        .build();
    let error = refusal(wrong_id.unwrap()).await;
    assert!(matches!(error, Error::PermissionDenied { .. }), "{error:?}");
    assert!(error.to_string().contains("InvalidAccessKeyId"), "{error}");

    let unsigned = s3.store_builder(BUCKET).with_skip_signature(true).build();
    let error = refusal(unsigned.unwrap()).await;
    assert!(matches!(error, Error::PermissionDenied { .. }), "{error:?}");

    let error = refusal(s3.store("unknown")).await;
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    assert!(error.to_string().contains("NoSuchBucket"), "{error}");
    assert_eq!(s3.keys(BUCKET), [""; 0]);
}

#[tokio::test]
async fn buckets_are_made_and_removed() {
    let s3 = TestS3::start();
    let (status, _) = request(&s3, Method::PUT, "/made").await;
    assert_eq!(status, StatusCode::OK);
    let (status, body) = request(&s3, Method::PUT, "/made").await;
    assert_eq!(status, StatusCode::CONFLICT, "{body}");
    let (status, _) = request(&s3, Method::HEAD, "/made").await;
    assert_eq!(status, StatusCode::OK);
    s3.put("made", "key", "data");
    let (status, body) = request(&s3, Method::DELETE, "/made").await;
    assert_eq!(status, StatusCode::CONFLICT, "{body}");
    s3.delete("made", "key");
    let (status, _) = request(&s3, Method::DELETE, "/made").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, _) = request(&s3, Method::HEAD, "/made").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

/// Checks that the server runs without a runtime of the test, as tests of child processes need it.
#[test]
fn the_server_needs_no_runtime_of_its_test_and_ends_with_its_handle() {
    let s3 = TestS3::start();
    let env: HashMap<_, _> = s3.env().into_iter().collect();
    assert_eq!(env["AWS_ACCESS_KEY_ID"], ACCESS_KEY_ID);
    let address = env["AWS_ENDPOINT_URL"]
        .strip_prefix("http://")
        .unwrap()
        .to_owned();

    let mut connection = TcpStream::connect(&address).unwrap();
    let request =
        format!("GET /exports/key HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 403") && answer.contains("AccessDenied"),
        "{answer}"
    );

    drop(s3);
    assert!(TcpStream::connect(&address).is_err());
}

#[test]
fn the_operation_follows_from_the_request_line() {
    let target = |method: Method, uri: &'static str, headers: &HeaderMap| {
        let target = Target::of(&method, &Uri::from_static(uri), headers);
        (target.operation, target.bucket, target.key)
    };
    let plain = HeaderMap::new();
    let copy: HeaderMap = [(
        "x-amz-copy-source".parse().unwrap(),
        "exports/a".parse().unwrap(),
    )]
    .into_iter()
    .collect();
    for (method, uri, operation, key) in [
        (Method::PUT, "/b", Operation::CreateBucket, ""),
        (Method::PUT, "/b/", Operation::CreateBucket, ""),
        (Method::HEAD, "/b", Operation::HeadBucket, ""),
        (Method::DELETE, "/b", Operation::DeleteBucket, ""),
        (
            Method::GET,
            "/b?list-type=2&prefix=day%3D1%2F",
            Operation::ListObjects,
            "day=1/",
        ),
        (
            Method::GET,
            "/b?uploads&prefix=x",
            Operation::ListMultipartUploads,
            "x",
        ),
        (Method::POST, "/b?delete", Operation::DeleteObjects, ""),
        (Method::GET, "/b?policy", Operation::Other, ""),
        (Method::GET, "/", Operation::Other, ""),
        (
            Method::PUT,
            "/b/a%20b/c%2Bd",
            Operation::PutObject,
            "a b/c+d",
        ),
        (Method::GET, "/b/k", Operation::GetObject, "k"),
        (Method::HEAD, "/b/k", Operation::HeadObject, "k"),
        (Method::DELETE, "/b/k", Operation::DeleteObject, "k"),
        (Method::PUT, "/b/k?tagging", Operation::Other, "k"),
        (
            Method::POST,
            "/b/k?uploads=",
            Operation::CreateMultipartUpload,
            "k",
        ),
        (
            Method::PUT,
            "/b/k?partNumber=1&uploadId=u",
            Operation::UploadPart,
            "k",
        ),
        (Method::GET, "/b/k?uploadId=u", Operation::ListParts, "k"),
        (
            Method::POST,
            "/b/k?uploadId=u",
            Operation::CompleteMultipartUpload,
            "k",
        ),
        (
            Method::DELETE,
            "/b/k?uploadId=u",
            Operation::AbortMultipartUpload,
            "k",
        ),
    ] {
        let bucket = if uri == "/" { "" } else { "b" };
        let expected = (operation, bucket.to_owned(), key.to_owned());
        assert_eq!(target(method, uri, &plain), expected, "{uri}");
    }
    assert_eq!(target(Method::PUT, "/b/k", &copy).0, Operation::CopyObject);
    assert_eq!(
        target(Method::PUT, "/b/k?uploadId=u", &copy).0,
        Operation::Other
    );
}
