//! Tests of multipart uploads, from their start to their removal.

use super::{BUCKET, request, start};
use hyper::Method;
use object_store::{
    Error,
    multipart::{MultipartStore, PartId},
    path::Path,
};

#[tokio::test]
async fn an_upload_is_invisible_until_it_is_completed_once() {
    let (s3, store) = start();
    s3.set_min_part_size(2);
    let path = Path::from("big");
    let id = store.create_multipart(&path).await.unwrap();
    // Out of order, as concurrent parts arrive.
    let second = store.put_part(&path, &id, 1, "c".into()).await.unwrap();
    let first = store.put_part(&path, &id, 0, "ab".into()).await.unwrap();
    assert_eq!(s3.keys(BUCKET), [""; 0]);
    assert_eq!(s3.uploads(BUCKET), [("big".to_owned(), id.clone())]);

    let (_, listed) = request(&s3, Method::GET, "/exports?uploads=").await;
    assert!(
        listed.contains(&format!("<UploadId>{id}</UploadId>")),
        "{listed}"
    );
    let (_, listed) = request(&s3, Method::GET, &format!("/exports/big?uploadId={id}")).await;
    assert_eq!(listed.matches("<PartNumber>").count(), 2, "{listed}");

    let parts = vec![first, second];
    let done = store
        .complete_multipart(&path, &id, parts.clone())
        .await
        .unwrap();
    let object = s3.object(BUCKET, "big").unwrap();
    assert_eq!(object.data, "abc");
    // md5(md5("ab") + md5("c")), two parts
    assert_eq!(object.etag, "\"d833159094d1d7ad96ffcc78414e3682-2\"");
    assert_eq!(done.e_tag, Some(object.etag));
    assert_eq!(s3.uploads(BUCKET), []);

    let again = store
        .complete_multipart(&path, &id, parts)
        .await
        .unwrap_err();
    assert!(matches!(again, Error::NotFound { .. }), "{again:?}");
    assert!(again.to_string().contains("NoSuchUpload"), "{again}");
}

#[tokio::test]
async fn a_removed_upload_cannot_be_continued() {
    let (s3, store) = start();
    let path = Path::from("big");
    for sweep in ["by a lifecycle rule", "by its writer"] {
        let id = store.create_multipart(&path).await.unwrap();
        let part = store.put_part(&path, &id, 0, "data".into()).await.unwrap();
        match sweep {
            "by its writer" => store.abort_multipart(&path, &id).await.unwrap(),
            _ => s3.abort_uploads(BUCKET),
        }
        assert_eq!(s3.uploads(BUCKET), [], "{sweep}");
        let completed = store.complete_multipart(&path, &id, vec![part]).await;
        assert!(
            matches!(completed, Err(Error::NotFound { .. })),
            "{sweep}: {completed:?}"
        );
        let next = store.put_part(&path, &id, 1, "more".into()).await;
        assert!(
            matches!(next, Err(Error::NotFound { .. })),
            "{sweep}: {next:?}"
        );
        let aborted = store.abort_multipart(&path, &id).await;
        assert!(
            matches!(aborted, Err(Error::NotFound { .. })),
            "{sweep}: {aborted:?}"
        );
    }
    assert_eq!(s3.keys(BUCKET), [""; 0]);
}

#[tokio::test]
async fn bad_completions_leave_the_upload_alone() {
    let (s3, store) = start();
    let path = Path::from("big");
    let id = store.create_multipart(&path).await.unwrap();
    let first = store.put_part(&path, &id, 0, "small".into()).await.unwrap();
    let second = store.put_part(&path, &id, 1, "last".into()).await.unwrap();
    let complete = async |parts: [&PartId; 2]| {
        let parts = parts.map(Clone::clone).to_vec();
        store
            .complete_multipart(&path, &id, parts)
            .await
            .unwrap_err()
            .to_string()
    };
    let too_small = complete([&first, &second]).await;
    assert!(too_small.contains("EntityTooSmall"), "{too_small}");
    let swapped = complete([&second, &first]).await;
    assert!(swapped.contains("InvalidPart"), "{swapped}");
    assert_eq!(s3.uploads(BUCKET).len(), 1);
    store
        .complete_multipart(&path, &id, vec![first])
        .await
        .unwrap();
    assert_eq!(s3.object(BUCKET, "big").unwrap().data, "small");
}

#[tokio::test]
async fn uploads_and_parts_are_listed_in_pages() {
    let (s3, store) = start();
    s3.set_max_page_size(2);
    let path = Path::from("b");
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(store.create_multipart(&path).await.unwrap());
    }
    store.create_multipart(&Path::from("a")).await.unwrap();
    for part in 0..3 {
        store
            .put_part(&path, &ids[0], part, "data".into())
            .await
            .unwrap();
    }
    let list = async |uri: &str, tag: &str| {
        let (_, page) = request(&s3, Method::GET, uri).await;
        (texts(&page, tag), texts(&page, "IsTruncated") == ["true"])
    };

    let (keys, more) = list("/exports?uploads=", "Key").await;
    assert_eq!((keys, more), (vec!["a".to_owned(), "b".to_owned()], true));
    let uri = format!("/exports?key-marker=b&upload-id-marker={}&uploads=", ids[0]);
    assert_eq!(list(&uri, "UploadId").await, (ids[1..].to_vec(), false));
    let (keys, more) = list("/exports?key-marker=a&prefix=a&uploads=", "Key").await;
    assert_eq!((keys, more), (vec![], false));

    let uri = format!("/exports/b?uploadId={}", ids[0]);
    let (numbers, more) = list(&uri, "PartNumber").await;
    assert_eq!(
        (numbers, more),
        (vec!["1".to_owned(), "2".to_owned()], true)
    );
    let uri = format!("/exports/b?part-number-marker=2&uploadId={}", ids[0]);
    assert_eq!(
        list(&uri, "PartNumber").await,
        (vec!["3".to_owned()], false)
    );
}

/// Returns the contents of all elements of this name.
fn texts(xml: &str, tag: &str) -> Vec<String> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    let after_open = xml.split(&open).skip(1);
    after_open
        .map(|rest| rest.split(&close).next().unwrap().to_owned())
        .collect()
}
