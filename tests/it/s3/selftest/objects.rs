//! Tests of objects: put, get, list, delete, and the conditions on each.

use super::super::{Operation, TestS3};
use super::{BUCKET, send, start};
use futures::{StreamExt, TryStreamExt};
use hyper::{Request, StatusCode};
use object_store::{
    Attribute, Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    UpdateVersion,
    aws::{AmazonS3ConfigKey, Checksum},
    path::Path,
};

#[tokio::test]
async fn objects_are_returned_as_they_were_put() {
    let (s3, store) = start();
    let path = Path::from("day=2026-11-01/a b+c%.csv");
    let mut options = PutOptions::default();
    options
        .attributes
        .insert(Attribute::ContentType, "text/csv".into());
    let put = store
        .put_opts(&path, "hello".into(), options)
        .await
        .unwrap();

    let object = s3.object(BUCKET, path.as_ref()).unwrap();
    assert_eq!(object.data, "hello");
    assert_eq!(put.e_tag.as_ref(), Some(&object.etag));
    assert_eq!(object.etag, "\"5d41402abc4b2a76b9719d911017c592\"");
    assert_eq!(object.attributes.content_type.as_deref(), Some("text/csv"));

    let head = store.head(&path).await.unwrap();
    assert_eq!((head.size, head.e_tag), (5, put.e_tag.clone()));
    let age = object.last_modified.elapsed().unwrap();
    assert!(age.as_secs() < 60, "last modified {age:?} ago");
    assert_eq!(store.get_range(&path, 1..3).await.unwrap(), "el");
    let options = GetOptions::new().with_range(Some(GetRange::Suffix(2)));
    let suffix = store.get_opts(&path, options).await.unwrap();
    assert_eq!(
        (suffix.range.clone(), suffix.bytes().await.unwrap()),
        (3..5, "lo".into())
    );

    let copied = Path::from("copy");
    store.copy(&path, &copied).await.unwrap();
    assert_eq!(
        store.get(&copied).await.unwrap().bytes().await.unwrap(),
        "hello"
    );

    store.delete(&path).await.unwrap();
    assert!(matches!(
        store.get(&path).await,
        Err(Error::NotFound { .. })
    ));
    assert_eq!(s3.keys(BUCKET), ["copy"]);
    assert_eq!(s3.count(Operation::CopyObject), 1);
    assert_eq!(s3.calls()[0].status, Some(200));
}

#[tokio::test]
async fn conditions_on_reading_hold() {
    let (s3, store) = start();
    s3.put(BUCKET, "key", "data");
    let etag = s3.object(BUCKET, "key").unwrap().etag;
    let get = async |options| store.get_opts(&Path::from("key"), options).await;

    let same = GetOptions::new().with_if_none_match(Some(etag.clone()));
    assert!(matches!(get(same).await, Err(Error::NotModified { .. })));
    let other = GetOptions::new().with_if_match(Some("\"other\""));
    assert!(matches!(get(other).await, Err(Error::Precondition { .. })));
    let matching = GetOptions::new().with_if_match(Some(etag));
    assert_eq!(get(matching).await.unwrap().bytes().await.unwrap(), "data");
    let beyond = GetOptions::new().with_range(Some(GetRange::Offset(4)));
    let refused = get(beyond).await.unwrap_err();
    assert!(
        format!("{refused:?}").contains("InvalidRange"),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_twenty_writers_creates_an_object() {
    let (s3, store) = start();
    let path = Path::from("commit");
    let create = |writer: usize| {
        let (store, path) = (store.clone(), path.clone());
        let put = async move {
            store
                .put_opts(&path, writer.to_string().into(), PutMode::Create.into())
                .await
        };
        tokio::spawn(put)
    };
    let outcomes = futures::future::join_all((0..20).map(create)).await;
    let (winners, losers): (Vec<_>, Vec<_>) = outcomes
        .into_iter()
        .map(Result::unwrap)
        .enumerate()
        .partition(|(_, outcome)| outcome.is_ok());
    let [(winner, _)] = winners.as_slice() else {
        panic!("winners: {winners:?}")
    };
    assert_eq!(
        s3.object(BUCKET, "commit").unwrap().data,
        winner.to_string()
    );
    for (_, loser) in losers {
        assert!(
            matches!(loser, Err(Error::AlreadyExists { .. })),
            "{loser:?}"
        );
    }
}

#[tokio::test]
async fn an_update_needs_the_current_etag() {
    let (s3, store) = start();
    let path = Path::from("pointer");
    let put = store.put(&path, "1".into()).await.unwrap();
    let update = async |data: &'static str, version: UpdateVersion| {
        store
            .put_opts(&path, data.into(), PutMode::Update(version).into())
            .await
    };
    let first = UpdateVersion {
        e_tag: put.e_tag,
        version: None,
    };
    update("2", first.clone()).await.unwrap();
    assert!(matches!(
        update("3", first.clone()).await,
        Err(Error::Precondition { .. })
    ));
    assert_eq!(s3.object(BUCKET, "pointer").unwrap().data, "2");
    assert!(s3.delete(BUCKET, "pointer"));
    assert!(!s3.delete(BUCKET, "pointer"));
    assert!(matches!(
        update("4", first).await,
        Err(Error::Precondition { .. })
    ));
}

#[tokio::test]
async fn encryption_is_recorded() {
    let s3 = TestS3::start();
    s3.create_bucket(BUCKET);
    let key_id = "arn:aws:kms:eu-west-1:111122223333:key/example";
    let store = s3
        .store_builder(BUCKET)
        .with_sse_kms_encryption(key_id)
        .build()
        .unwrap();
    store.put(&Path::from("put"), "data".into()).await.unwrap();
    let mut upload = store.put_multipart(&Path::from("multipart")).await.unwrap();
    upload.put_part("data".into()).await.unwrap();
    upload.complete().await.unwrap();
    for key in ["put", "multipart"] {
        let attributes = s3.object(BUCKET, key).unwrap().attributes;
        assert_eq!(attributes.sse.as_deref(), Some("aws:kms"), "{key}");
        assert_eq!(attributes.kms_key_id.as_deref(), Some(key_id), "{key}");
    }
    let encryption: AmazonS3ConfigKey = "aws_server_side_encryption".parse().unwrap();
    let store = s3
        .store_builder(BUCKET)
        .with_config(encryption, "AES256")
        .build()
        .unwrap();
    store.put(&Path::from("put"), "data".into()).await.unwrap();
    let attributes = s3.object(BUCKET, "put").unwrap().attributes;
    assert_eq!(
        (attributes.sse.as_deref(), attributes.kms_key_id),
        (Some("AES256"), None)
    );
}

#[tokio::test]
async fn checksums_are_checked() {
    let s3 = TestS3::start();
    s3.create_bucket(BUCKET);
    let store = s3
        .store_builder(BUCKET)
        .with_checksum_algorithm(Checksum::SHA256)
        .build()
        .unwrap();
    store.put(&Path::from("put"), "data".into()).await.unwrap();
    let mut upload = store.put_multipart(&Path::from("multipart")).await.unwrap();
    upload.put_part("data".into()).await.unwrap();
    upload.complete().await.unwrap();
    assert_eq!(s3.keys(BUCKET), ["multipart", "put"]);

    let wrong = Request::put("/exports/wrong").header("x-amz-checksum-sha256", "d3Jvbmc=");
    let (status, body) = send(&s3, wrong.body("data".to_owned().into()).unwrap()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body.contains("BadDigest"), "{body}");
    assert!(s3.object(BUCKET, "wrong").is_none());
}

#[tokio::test]
async fn listings_are_sorted_and_paged() {
    let (s3, store) = start();
    s3.set_max_page_size(2);
    for key in ["a", "b/1", "b/2", "b/c/3", "b0", "c/4"] {
        s3.put(BUCKET, key, key);
    }
    let keys = async |prefix: Option<&str>, offset: &str| {
        let prefix = prefix.map(Path::from);
        store
            .list_with_offset(prefix.as_ref(), &Path::from(offset))
            .map_ok(|meta| meta.location.to_string())
            .try_collect::<Vec<_>>()
            .await
            .unwrap()
    };
    assert_eq!(
        keys(None, "").await,
        ["a", "b/1", "b/2", "b/c/3", "b0", "c/4"]
    );
    assert_eq!(keys(None, "b/2").await, ["b/c/3", "b0", "c/4"]);
    assert_eq!(keys(Some("b"), "").await, ["b/1", "b/2", "b/c/3"]);
    assert_eq!(keys(Some("b"), "a").await, ["b/1", "b/2", "b/c/3"]);
    assert_eq!(keys(Some("nothing"), "").await, [""; 0]);

    let calls_before = s3.calls().len();
    let folders = store.list_with_delimiter(None).await.unwrap();
    assert_eq!(folders.common_prefixes, ["b", "c"].map(Path::from));
    let objects: Vec<_> = folders
        .objects
        .iter()
        .map(|meta| meta.location.as_ref())
        .collect();
    assert_eq!(objects, ["a", "b0"]);
    // Four entries in pages of two; the first page ends within a folder.
    assert_eq!(s3.calls().len() - calls_before, 2);
    let below = store
        .list_with_delimiter(Some(&Path::from("b")))
        .await
        .unwrap();
    assert_eq!(below.common_prefixes, [Path::from("b/c")]);
    assert_eq!(s3.calls().last().unwrap().key, "b/");

    let all = store.list(None).map_ok(|meta| meta.location).boxed();
    let deleted = store
        .delete_stream(all)
        .try_collect::<Vec<_>>()
        .await
        .unwrap();
    assert_eq!(deleted.len(), 6);
    assert_eq!(s3.keys(BUCKET), [""; 0]);
    assert_eq!(s3.count(Operation::DeleteObjects), 1);
}
