//! The standard AWS credential chain as a credential provider of `object_store`, with retries.
//!
//! `object_store` retries its calls, but not the request for credentials, so that is done here: a
//! transient failure is retried for as long as a call is, a refusal is final, and credentials that
//! cannot be refreshed are used until they expire.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_runtime::retries::classifiers::{THROTTLING_ERRORS, TRANSIENT_ERRORS};
use aws_sdk_sts::error::{ConnectorError, ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::error::Error;
use crate::store::response_watch::{Cause, ResponseWatch};
use crate::store::retry::RetryPolicy;
use crate::store::tls_fault::{innermost, tls_fault};

/// The time before their expiry at which credentials are refreshed.
const REFRESH_MARGIN: Duration = Duration::from_secs(300);

/// The backoff after a failed refresh of credentials that are still valid.
const REFRESH_BACKOFF: Duration = Duration::from_secs(30);

/// The timeout of one request for credentials, including the SDK's own attempts. The SDK alone has no
/// timeout, and every store call would block with it.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(60);

/// The credentials of the chain, cached until shortly before they expire.
#[derive(Debug)]
pub(super) struct ChainCredentials {
    provider: SharedCredentialsProvider,
    /// The policy for transient failures.
    retry: RetryPolicy,
    /// The timeout of one request.
    timeout: Duration,
    watch: Arc<ResponseWatch>,
    cached: Mutex<Option<Cached>>,
}

#[derive(Debug)]
struct Cached {
    credential: Arc<AwsCredential>,
    /// The time of expiry; absent if they never expire.
    expires: Option<SystemTime>,
    /// The time before which a failed refresh is not retried.
    refresh_not_before: Option<SystemTime>,
}

impl ChainCredentials {
    pub(super) fn new(provider: SharedCredentialsProvider, retry: RetryPolicy) -> Self {
        Self {
            provider,
            retry,
            timeout: CREDENTIALS_TIMEOUT,
            watch: ResponseWatch::new("the AWS credential chain", retry.timeout),
            cached: Mutex::new(None),
        }
    }

    /// Requests credentials from the chain once.
    async fn request(&self) -> Result<Credentials, CredentialsError> {
        let request = self.provider.provide_credentials();
        let (waiting, result) = self.watch.watch(None, self.timeout, request).await;
        let result =
            result.unwrap_or_else(|| Err(CredentialsError::provider_timed_out(self.timeout)));
        match &result {
            Err(error) if is_transient(error) => {
                waiting.failed(Cause::Request(innermost(error)), Instant::now());
            }
            _ => waiting.responded(Instant::now()),
        }
        result
    }

    /// Requests credentials, and retries transient failures until the policy's timeout.
    async fn request_with_retries(&self) -> Result<Credentials, CredentialsError> {
        let deadline = Instant::now() + self.retry.timeout;
        let mut backoff = self.retry.initial_backoff;
        loop {
            let error = match self.request().await {
                Err(error) if is_transient(&error) && Instant::now() + backoff < deadline => error,
                result => return result,
            };
            tracing::info!("{}", no_credentials(error, "retrying"));
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(self.retry.max_backoff);
        }
    }
}

impl Cached {
    fn new(credentials: &Credentials) -> Self {
        Self {
            credential: Arc::new(AwsCredential {
                key_id: credentials.access_key_id().to_owned(),
                secret_key: credentials.secret_access_key().to_owned(),
                token: credentials.session_token().map(str::to_owned),
            }),
            expires: credentials.expiry(),
            refresh_not_before: None,
        }
    }

    /// Returns true if they can be used without a refresh.
    fn is_fresh(&self, now: SystemTime) -> bool {
        let is_backing_off = self.refresh_not_before.is_some_and(|then| now < then);
        self.is_valid_at(now + REFRESH_MARGIN) || (is_backing_off && self.is_valid_at(now))
    }

    fn is_valid_at(&self, then: SystemTime) -> bool {
        self.expires.is_none_or(|expires| then < expires)
    }
}

#[async_trait]
impl CredentialProvider for ChainCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut cached = self.cached.lock().await;
        // Real time, not the run's clock: expiry is set by AWS.
        #[expect(clippy::disallowed_methods, reason = "credentials expire in real time")]
        let now = SystemTime::now();
        let result = match cached.as_mut() {
            Some(fresh) if fresh.is_fresh(now) => return Ok(Arc::clone(&fresh.credential)),
            Some(valid) if valid.is_valid_at(now) => match self.request().await {
                Err(error) => {
                    tracing::warn!(
                        "{}",
                        no_credentials(error, "the current ones are used until they expire")
                    );
                    valid.refresh_not_before = Some(now + REFRESH_BACKOFF);
                    return Ok(Arc::clone(&valid.credential));
                }
                result => result,
            },
            _ => self.request_with_retries().await,
        };
        let refreshed = Cached::new(&result.map_err(store_error)?);
        Ok(Arc::clone(&cached.insert(refreshed).credential))
    }
}

/// Returns true if the same request may succeed a little later.
fn is_transient(error: &CredentialsError) -> bool {
    if tls_fault(error).is_some() {
        return false;
    }
    if matches!(error, CredentialsError::ProviderTimedOut(_)) {
        return true;
    }
    let mut cause = StdError::source(error);
    while let Some(error) = cause {
        // The SDK classifies a broken connection neither as I/O nor as a timeout.
        let is_broken = error.is::<hyper::Error>();
        let connector = error.downcast_ref::<ConnectorError>();
        let role = error.downcast_ref::<SdkError<AssumeRoleError>>();
        let identity = error.downcast_ref::<SdkError<AssumeRoleWithWebIdentityError>>();
        let timed_out = error.downcast_ref::<CredentialsError>();
        if is_broken
            || connector.is_some_and(|error| error.is_io() || error.is_timeout())
            || role.is_some_and(is_transient_response)
            || identity.is_some_and(is_transient_response)
            || timed_out.is_some_and(|e| matches!(e, CredentialsError::ProviderTimedOut(_)))
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Returns true if the security token service did not refuse, but failed to respond.
fn is_transient_response<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    match error {
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => true,
        SdkError::ServiceError(response) => {
            let status = response.raw().status();
            let code = response.err().code().unwrap_or_default();
            status.is_server_error()
                || status.as_u16() == 429
                || code == "IDPCommunicationError"
                || THROTTLING_ERRORS.contains(&code)
                || TRANSIENT_ERRORS.contains(&code)
        }
        _ => false,
    }
}

fn store_error(error: CredentialsError) -> object_store::Error {
    if is_transient(&error) {
        return object_store::Error::Generic {
            store: "AWS credentials",
            source: Box::new(error),
        };
    }
    object_store::Error::Unauthenticated {
        path: "the AWS credential chain".to_owned(),
        source: Box::new(error),
    }
}

/// Returns the log message about a failed request and its consequence, `then`.
fn no_credentials(error: CredentialsError, then: &str) -> String {
    let failure = Error::unavailable("no new credentials").with_source(error);
    format!("{}; {then}", failure.chain())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use aws_credential_types::provider::future;

    use super::*;

    /// A provider that responds with these results in order, and never after the last one.
    #[derive(Debug)]
    struct ScriptedProvider {
        requests: Arc<AtomicUsize>,
        results: Vec<fn() -> Result<Credentials, CredentialsError>>,
    }

    impl ProvideCredentials for ScriptedProvider {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let request = self.requests.fetch_add(1, Ordering::SeqCst);
            match self.results.get(request) {
                Some(result) => future::ProvideCredentials::ready(result()),
                None => future::ProvideCredentials::new(std::future::pending()),
            }
        }
    }

    fn scripted(
        results: &[fn() -> Result<Credentials, CredentialsError>],
    ) -> (ChainCredentials, Arc<AtomicUsize>) {
        let requests = Arc::new(AtomicUsize::new(0));
        let provider = ScriptedProvider {
            requests: Arc::clone(&requests),
            results: results.to_vec(),
        };
        let mut retry = RetryPolicy::new(Duration::ZERO);
        retry.timeout = retry.initial_backoff * 2;
        let credentials = ChainCredentials {
            timeout: Duration::from_millis(20),
            ..ChainCredentials::new(SharedCredentialsProvider::new(provider), retry)
        };
        (credentials, requests)
    }

    fn named(id: &str, expires: SystemTime) -> Credentials {
        Credentials::new(id, "secret", None, Some(expires), "test")
    }

    /// Returns a time within the refresh margin, but later than the end of any test.
    fn soon() -> SystemTime {
        #[expect(clippy::disallowed_methods, reason = "credentials expire in real time")]
        let now = SystemTime::now();
        now + REFRESH_MARGIN - Duration::from_secs(10)
    }

    fn timed_out() -> Result<Credentials, CredentialsError> {
        let source = ConnectorError::timeout("no answer".into());
        Err(CredentialsError::provider_error(source))
    }

    fn refused() -> Result<Credentials, CredentialsError> {
        Err(CredentialsError::provider_error("no"))
    }

    fn first() -> Result<Credentials, CredentialsError> {
        Ok(named("first", soon()))
    }

    fn second() -> Result<Credentials, CredentialsError> {
        Ok(named("second", soon() + REFRESH_MARGIN))
    }

    #[tokio::test]
    async fn transient_failures_are_retried() {
        let (credentials, requests) = scripted(&[timed_out, first]);
        assert_eq!(credentials.get_credential().await.unwrap().key_id, "first");
        assert_eq!(requests.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_refusal_is_final_and_a_timeout_is_transient() {
        let (credentials, requests) = scripted(&[refused]);
        let refusal = credentials.get_credential().await.unwrap_err();
        assert!(
            matches!(refusal, object_store::Error::Unauthenticated { .. }),
            "{refusal}"
        );
        assert_eq!(requests.load(Ordering::SeqCst), 1);

        let (credentials, requests) = scripted(&[]);
        let silence = credentials.get_credential().await.unwrap_err();
        assert!(
            matches!(silence, object_store::Error::Generic { .. }),
            "{silence}"
        );
        assert!(requests.load(Ordering::SeqCst) > 1);
    }

    #[tokio::test]
    async fn credentials_that_cannot_be_refreshed_are_used_until_they_expire() {
        let (credentials, requests) = scripted(&[first, timed_out, second]);
        for _ in 0..3 {
            assert_eq!(credentials.get_credential().await.unwrap().key_id, "first");
        }
        assert_eq!(requests.load(Ordering::SeqCst), 2);
        credentials
            .cached
            .lock()
            .await
            .as_mut()
            .unwrap()
            .refresh_not_before = None;
        for _ in 0..2 {
            assert_eq!(credentials.get_credential().await.unwrap().key_id, "second");
        }
        assert_eq!(requests.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn credentials_are_refreshed_before_they_expire() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let mut cached = Cached::new(&Credentials::new("id", "secret", None, None, "test"));
        assert!(cached.is_fresh(at(1_000)));
        cached.expires = Some(at(1_301));
        assert!(cached.is_fresh(at(1_000)));
        cached.expires = Some(at(1_300));
        assert!(!cached.is_fresh(at(1_000)));
        cached.refresh_not_before = Some(at(2_000));
        assert!(cached.is_fresh(at(1_299)));
        assert!(!cached.is_fresh(at(1_300)));
    }
}
