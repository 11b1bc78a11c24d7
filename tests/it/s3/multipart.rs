//! The S3 operations on multipart uploads.

use super::{
    backend::Backend,
    headers::{Attributes, Conditions},
    state::Part,
    wire::{Answer, encryption, etag, ok, page_size, read_body},
};
use bytes::Bytes;
use hyper::StatusCode;
use s3s::{S3Request, S3Response, S3Result, dto, s3_error};

impl Backend {
    pub(super) fn create_upload(
        &self,
        request: S3Request<dto::CreateMultipartUploadInput>,
    ) -> Answer<dto::CreateMultipartUploadOutput> {
        let attributes = Attributes::from_headers(&request.headers)?;
        let input = request.input;
        let server_side_encryption = encryption(&attributes);
        let ssekms_key_id = attributes.kms_key_id.clone();
        let mut state = self.0.lock();
        let id = state
            .bucket(&input.bucket)?
            .start_upload(input.key.clone(), attributes);
        ok(dto::CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            server_side_encryption,
            ssekms_key_id,
            ..Default::default()
        })
    }

    pub(super) async fn put_part(
        &self,
        request: S3Request<dto::UploadPartInput>,
    ) -> Answer<dto::UploadPartOutput> {
        let input = request.input;
        if !(1..=10_000).contains(&input.part_number) {
            return Err(s3_error!(InvalidArgument, "part numbers are 1 to 10000"));
        }
        let data = read_body(
            input.body,
            input.content_length,
            input.checksum_sha256.as_deref(),
        )
        .await?;
        let data = self.damaged(&input.bucket, data)?;
        // On another thread, because the digest would block the other connections.
        let part = tokio::task::spawn_blocking(move || Part::new(data))
            .await
            .map_err(|error| s3_error!(error, InternalError))?;
        let output = dto::UploadPartOutput {
            e_tag: etag(&part.etag()),
            checksum_sha256: input.checksum_sha256,
            ..Default::default()
        };
        let mut state = self.0.lock();
        let upload = state
            .bucket(&input.bucket)?
            .upload(&input.key, &input.upload_id)?;
        upload.parts.insert(input.part_number, part);
        ok(output)
    }

    /// Changes a byte of a part if the settings ask for that.
    fn damaged(&self, bucket: &str, data: Bytes) -> S3Result<Bytes> {
        let mut state = self.0.lock();
        let left = &mut state.bucket(bucket)?.settings.damages_parts;
        if *left == 0 || data.is_empty() {
            return Ok(data);
        }
        *left -= 1;
        let mut bytes = data.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        Ok(bytes.into())
    }

    pub(super) fn complete_upload(
        &self,
        request: S3Request<dto::CompleteMultipartUploadInput>,
    ) -> Answer<dto::CompleteMultipartUploadOutput> {
        let conditions = Conditions::from_headers(&request.headers)?;
        let input = request.input;
        let parts = input
            .multipart_upload
            .and_then(|upload| upload.parts)
            .unwrap_or_default();
        let number_and_etag = |part: dto::CompletedPart| part.part_number.zip(part.e_tag);
        let requested_parts = parts
            .into_iter()
            .map(number_and_etag)
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| s3_error!(MalformedXML))?;

        let mut state = self.0.lock();
        let min_part_size = state.limits.part_size;
        let bucket = state.bucket(&input.bucket)?;
        let object = bucket.complete_upload(
            &input.key,
            &input.upload_id,
            &requested_parts,
            &conditions,
            min_part_size,
        )?;
        ok(dto::CompleteMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: etag(&object.etag),
            server_side_encryption: encryption(&object.attributes),
            ssekms_key_id: object.attributes.kms_key_id,
            ..Default::default()
        })
    }

    pub(super) fn abort_upload(
        &self,
        request: S3Request<dto::AbortMultipartUploadInput>,
    ) -> Answer<dto::AbortMultipartUploadOutput> {
        let input = request.input;
        let mut state = self.0.lock();
        let bucket = state.bucket(&input.bucket)?;
        bucket.upload(&input.key, &input.upload_id)?;
        bucket.uploads.remove(&input.upload_id);
        Ok(S3Response::with_status(
            Default::default(),
            StatusCode::NO_CONTENT,
        ))
    }

    pub(super) fn parts_of_upload(
        &self,
        request: S3Request<dto::ListPartsInput>,
    ) -> Answer<dto::ListPartsOutput> {
        let input = request.input;
        let mut state = self.0.lock();
        let page_size = page_size(input.max_parts, state.limits.page_size);
        let upload = state
            .bucket(&input.bucket)?
            .upload(&input.key, &input.upload_id)?;
        let after = input.part_number_marker.unwrap_or(0);
        let mut rest = upload.parts.iter().filter(|(number, _)| **number > after);
        let entry = |(number, part): (&i32, &Part)| dto::Part {
            part_number: Some(*number),
            size: Some(part.data.len() as i64),
            e_tag: etag(&part.etag()),
            last_modified: Some(part.uploaded.into()),
            ..Default::default()
        };
        let parts: Vec<_> = rest.by_ref().take(page_size).map(entry).collect();
        ok(dto::ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            max_parts: Some(page_size as i32),
            part_number_marker: input.part_number_marker,
            is_truncated: Some(rest.next().is_some()),
            next_part_number_marker: parts.last().and_then(|part| part.part_number),
            parts: Some(parts),
            ..Default::default()
        })
    }

    pub(super) fn unfinished_uploads(
        &self,
        request: S3Request<dto::ListMultipartUploadsInput>,
    ) -> Answer<dto::ListMultipartUploadsOutput> {
        let input = request.input;
        if input.delimiter.is_some() {
            return Err(s3_error!(NotImplemented));
        }
        let mut state = self.0.lock();
        let page_size = page_size(input.max_uploads, state.limits.page_size);
        let prefix = input.prefix.clone().unwrap_or_default();
        // Without an id, the marker means all uploads of its key.
        let last_id = input
            .upload_id_marker
            .clone()
            .unwrap_or_else(|| char::MAX.to_string());
        let marker = input.key_marker.clone().map(|key| (key, last_id));

        let uploads = state.bucket(&input.bucket)?.uploads.iter();
        let mut rest: Vec<_> = uploads
            .map(|(id, upload)| ((upload.key.clone(), id.clone()), upload.started))
            .filter(|(entry, _)| entry.0.starts_with(&prefix) && Some(entry) > marker.as_ref())
            .collect();
        rest.sort();
        let is_truncated = rest.len() > page_size;
        rest.truncate(page_size);
        let next = rest
            .last()
            .map(|(entry, _)| entry.clone())
            .filter(|_| is_truncated);
        let (next_key_marker, next_upload_id_marker) = next.unzip();
        let entry = |((key, id), started): ((String, String), _)| dto::MultipartUpload {
            key: Some(key),
            upload_id: Some(id),
            initiated: Some(dto::Timestamp::from(started)),
            ..Default::default()
        };
        ok(dto::ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            prefix: input.prefix,
            key_marker: input.key_marker,
            upload_id_marker: input.upload_id_marker,
            max_uploads: Some(page_size as i32),
            is_truncated: Some(is_truncated),
            next_key_marker,
            next_upload_id_marker,
            uploads: Some(rest.into_iter().map(entry).collect()),
            ..Default::default()
        })
    }
}
