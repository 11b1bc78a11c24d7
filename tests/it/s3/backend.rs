//! The S3 operations on [`Memory`], in the terms of s3s; those on multipart uploads are in
//! `multipart.rs`, those on settings in `settings.rs`.

use super::{
    headers::{Attributes, Conditions},
    list::ListQuery,
    state::{Bucket, Memory, Object},
    wire::{Answer, encryption, etag, ok, page_size, read_body},
};
use async_trait::async_trait;
use hyper::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::{
    Body, S3, S3Request, S3Response,
    dto::{self, StreamingBlob},
    s3_error,
};
use std::sync::Arc;

/// The characters that `encoding-type=url` encodes.
const ENCODED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

pub(super) struct Backend(pub Arc<Memory>);

#[async_trait]
impl S3 for Backend {
    async fn create_bucket(
        &self,
        request: S3Request<dto::CreateBucketInput>,
    ) -> Answer<dto::CreateBucketOutput> {
        let mut state = self.0.lock();
        let name = request.input.bucket;
        if state.buckets.contains_key(&name) {
            return Err(s3_error!(BucketAlreadyOwnedByYou));
        }
        let location = Some(format!("/{name}"));
        state.buckets.insert(name, Bucket::default());
        ok(dto::CreateBucketOutput { location })
    }

    async fn head_bucket(
        &self,
        request: S3Request<dto::HeadBucketInput>,
    ) -> Answer<dto::HeadBucketOutput> {
        self.0.lock().bucket(&request.input.bucket)?;
        ok(dto::HeadBucketOutput {
            bucket_region: Some(super::REGION.to_owned()),
            ..Default::default()
        })
    }

    async fn delete_bucket(
        &self,
        request: S3Request<dto::DeleteBucketInput>,
    ) -> Answer<dto::DeleteBucketOutput> {
        let mut state = self.0.lock();
        let name = &request.input.bucket;
        if !state.bucket(name)?.objects.is_empty() {
            return Err(s3_error!(BucketNotEmpty));
        }
        state.buckets.remove(name);
        Ok(S3Response::with_status(
            dto::DeleteBucketOutput {},
            StatusCode::NO_CONTENT,
        ))
    }

    async fn put_object(
        &self,
        request: S3Request<dto::PutObjectInput>,
    ) -> Answer<dto::PutObjectOutput> {
        let conditions = Conditions::from_headers(&request.headers)?;
        let attributes = Attributes::from_headers(&request.headers)?;
        let input = request.input;
        let data = read_body(
            input.body,
            input.content_length,
            input.checksum_sha256.as_deref(),
        )
        .await?;
        let object = Object::new(data, attributes);
        let output = dto::PutObjectOutput {
            e_tag: etag(&object.etag),
            server_side_encryption: encryption(&object.attributes),
            ssekms_key_id: object.attributes.kms_key_id.clone(),
            checksum_sha256: input.checksum_sha256,
            ..Default::default()
        };
        self.0
            .lock()
            .bucket(&input.bucket)?
            .put(input.key, object, &conditions)?;
        ok(output)
    }

    async fn copy_object(
        &self,
        request: S3Request<dto::CopyObjectInput>,
    ) -> Answer<dto::CopyObjectOutput> {
        let conditions = Conditions::from_headers(&request.headers)?;
        let requested = Attributes::from_headers(&request.headers)?;
        let input = request.input;
        let dto::CopySource::Bucket { bucket, key, .. } = &input.copy_source else {
            return Err(s3_error!(NotImplemented));
        };
        let mut state = self.0.lock();
        let source = state.bucket(bucket)?.object(key)?.clone();
        // A copy takes over all attributes from its source except the encryption.
        let Attributes {
            sse, kms_key_id, ..
        } = requested;
        let attributes = Attributes {
            sse,
            kms_key_id,
            ..source.attributes
        };
        let copy = Object::new(source.data, attributes);
        let result = dto::CopyObjectResult {
            e_tag: etag(&copy.etag),
            last_modified: Some(copy.last_modified.into()),
            ..Default::default()
        };
        let output = dto::CopyObjectOutput {
            copy_object_result: Some(result),
            server_side_encryption: encryption(&copy.attributes),
            ssekms_key_id: copy.attributes.kms_key_id.clone(),
            ..Default::default()
        };
        state
            .bucket(&input.bucket)?
            .put(input.key, copy, &conditions)?;
        ok(output)
    }

    async fn get_object(
        &self,
        request: S3Request<dto::GetObjectInput>,
    ) -> Answer<dto::GetObjectOutput> {
        let conditions = Conditions::from_headers(&request.headers)?;
        let input = request.input;
        if input.if_modified_since.is_some() || input.if_unmodified_since.is_some() {
            return Err(s3_error!(NotImplemented));
        }
        let object = self
            .0
            .lock()
            .bucket(&input.bucket)?
            .object(&input.key)?
            .clone();
        conditions.check_read(&object)?;
        let size = object.data.len();
        let (data, content_range) = match input.range {
            None => (object.data, None),
            Some(range) => {
                let range = range.check(size as u64)?;
                let shown = format!("bytes {}-{}/{size}", range.start, range.end - 1);
                (
                    object.data.slice(range.start as usize..range.end as usize),
                    Some(shown),
                )
            }
        };
        ok(dto::GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(data.len() as i64),
            content_range,
            e_tag: etag(&object.etag),
            last_modified: Some(object.last_modified.into()),
            server_side_encryption: encryption(&object.attributes),
            ssekms_key_id: object.attributes.kms_key_id,
            content_type: object.attributes.content_type,
            content_encoding: object.attributes.content_encoding,
            metadata: Some(object.attributes.metadata),
            body: Some(StreamingBlob::from(Body::from(data))),
            ..Default::default()
        })
    }

    async fn head_object(
        &self,
        request: S3Request<dto::HeadObjectInput>,
    ) -> Answer<dto::HeadObjectOutput> {
        let conditions = Conditions::from_headers(&request.headers)?;
        let input = request.input;
        let object = self
            .0
            .lock()
            .bucket(&input.bucket)?
            .object(&input.key)?
            .clone();
        conditions.check_read(&object)?;
        ok(dto::HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(object.data.len() as i64),
            e_tag: etag(&object.etag),
            last_modified: Some(object.last_modified.into()),
            server_side_encryption: encryption(&object.attributes),
            ssekms_key_id: object.attributes.kms_key_id,
            content_type: object.attributes.content_type,
            content_encoding: object.attributes.content_encoding,
            metadata: Some(object.attributes.metadata),
            ..Default::default()
        })
    }

    /// Deletes an object; succeeds if there is none.
    async fn delete_object(
        &self,
        request: S3Request<dto::DeleteObjectInput>,
    ) -> Answer<dto::DeleteObjectOutput> {
        let input = request.input;
        self.0
            .lock()
            .bucket(&input.bucket)?
            .objects
            .remove(&input.key);
        Ok(S3Response::with_status(
            Default::default(),
            StatusCode::NO_CONTENT,
        ))
    }

    async fn delete_objects(
        &self,
        request: S3Request<dto::DeleteObjectsInput>,
    ) -> Answer<dto::DeleteObjectsOutput> {
        let input = request.input;
        let mut state = self.0.lock();
        let bucket = state.bucket(&input.bucket)?;
        let delete = |object: dto::ObjectIdentifier| {
            bucket.objects.remove(&object.key);
            dto::DeletedObject {
                key: Some(object.key),
                ..Default::default()
            }
        };
        let deleted: Vec<_> = input.delete.objects.into_iter().map(delete).collect();
        let is_quiet = input.delete.quiet.unwrap_or(false);
        ok(dto::DeleteObjectsOutput {
            deleted: (!is_quiet).then_some(deleted),
            ..Default::default()
        })
    }

    /// Lists objects. As on AWS, `encoding-type=url` encodes keys and prefixes, with `+` for a space.
    async fn list_objects_v2(
        &self,
        request: S3Request<dto::ListObjectsV2Input>,
    ) -> Answer<dto::ListObjectsV2Output> {
        let input = request.input;
        let mut state = self.0.lock();
        let page_size = page_size(input.max_keys, state.limits.page_size);
        let query = ListQuery {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input
                .delimiter
                .clone()
                .filter(|delimiter| !delimiter.is_empty()),
            start_after: input.start_after.clone().unwrap_or_default(),
            token: input.continuation_token.clone(),
            page_size,
        };
        let page = query.page(&state.bucket(&input.bucket)?.objects);
        let encoding_type = input.encoding_type.clone();
        let encoded = |key: &String| match &encoding_type {
            None => key.clone(),
            Some(_) => utf8_percent_encode(key, &ENCODED)
                .to_string()
                .replace("%20", "+"),
        };
        let entry = |&(key, object): &(&String, &Object)| dto::Object {
            key: Some(encoded(key)),
            size: Some(object.data.len() as i64),
            e_tag: etag(&object.etag),
            last_modified: Some(object.last_modified.into()),
            ..Default::default()
        };
        let common_prefix = |prefix: &String| dto::CommonPrefix {
            prefix: Some(encoded(prefix)),
        };
        ok(dto::ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: input.prefix.as_ref().map(encoded),
            delimiter: input.delimiter.as_ref().map(encoded),
            start_after: input.start_after.as_ref().map(encoded),
            encoding_type: encoding_type.clone(),
            continuation_token: input.continuation_token,
            max_keys: Some(page_size as i32),
            key_count: Some(page.len() as i32),
            contents: Some(page.objects.iter().map(entry).collect()),
            common_prefixes: Some(page.common_prefixes.iter().map(common_prefix).collect()),
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next,
            ..Default::default()
        })
    }

    async fn get_public_access_block(
        &self,
        request: S3Request<dto::GetPublicAccessBlockInput>,
    ) -> Answer<dto::GetPublicAccessBlockOutput> {
        self.public_access_block(&request.input.bucket)
    }

    async fn get_bucket_versioning(
        &self,
        request: S3Request<dto::GetBucketVersioningInput>,
    ) -> Answer<dto::GetBucketVersioningOutput> {
        self.versioning(&request.input.bucket)
    }

    async fn get_bucket_lifecycle_configuration(
        &self,
        request: S3Request<dto::GetBucketLifecycleConfigurationInput>,
    ) -> Answer<dto::GetBucketLifecycleConfigurationOutput> {
        self.lifecycle(&request.input.bucket)
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<dto::CreateMultipartUploadInput>,
    ) -> Answer<dto::CreateMultipartUploadOutput> {
        self.create_upload(request)
    }

    async fn upload_part(
        &self,
        request: S3Request<dto::UploadPartInput>,
    ) -> Answer<dto::UploadPartOutput> {
        self.put_part(request).await
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<dto::CompleteMultipartUploadInput>,
    ) -> Answer<dto::CompleteMultipartUploadOutput> {
        self.complete_upload(request)
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<dto::AbortMultipartUploadInput>,
    ) -> Answer<dto::AbortMultipartUploadOutput> {
        self.abort_upload(request)
    }

    async fn list_parts(
        &self,
        request: S3Request<dto::ListPartsInput>,
    ) -> Answer<dto::ListPartsOutput> {
        self.parts_of_upload(request)
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<dto::ListMultipartUploadsInput>,
    ) -> Answer<dto::ListMultipartUploadsOutput> {
        self.unfinished_uploads(request)
    }
}
