//! The standard AWS credential chain, as `object_store` wants it.
//!
//! `object_store` tries its calls again, but not the question for credentials. So that is done
//! here: what may pass is asked again for as long as a call is, a refusal is final at once, and
//! credentials that are about to expire serve until they do.

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

/// Refreshed this long before they expire.
const MARGIN: Duration = Duration::from_secs(300);

/// Credentials that are still valid are not refreshed again sooner after a failure.
const PAUSE: Duration = Duration::from_secs(30);

/// One question may take this long, with the SDK's own attempts: the SDK alone waits forever for
/// an answer, and whoever needs credentials waits with it.
const PATIENCE: Duration = Duration::from_secs(60);

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// Credentials of the chain, kept until shortly before they expire.
#[derive(Debug)]
pub struct ChainCredentials {
    provider: SharedCredentialsProvider,
    /// How long a question that fails in passing is asked again.
    retry_timeout: Duration,
    patience: Duration,
    cached: Mutex<Option<Cached>>,
}

#[derive(Debug)]
struct Cached {
    credential: Arc<AwsCredential>,
    /// Absent if they never expire.
    expires: Option<SystemTime>,
    /// After a failure to renew them: not tried again before.
    postponed: Option<SystemTime>,
}

impl ChainCredentials {
    pub fn new(provider: SharedCredentialsProvider, retry_timeout: Duration) -> Self {
        Self {
            provider,
            retry_timeout,
            patience: PATIENCE,
            cached: Mutex::new(None),
        }
    }

    async fn ask(&self) -> Result<Credentials, CredentialsError> {
        let answer = tokio::time::timeout(self.patience, self.provider.provide_credentials());
        let late = |_| Err(CredentialsError::provider_timed_out(self.patience));
        answer.await.unwrap_or_else(late)
    }

    /// Asks until there is an answer or a refusal, or the time is up.
    async fn ask_again(&self) -> Result<Credentials, CredentialsError> {
        let end = Instant::now() + self.retry_timeout;
        let mut wait = FIRST_WAIT;
        loop {
            let error = match self.ask().await {
                Err(error) if may_pass(&error) && Instant::now() + wait < end => error,
                answer => return answer,
            };
            tracing::info!("{}", no_credentials(error, "asking again"));
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
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
            postponed: None,
        }
    }

    /// Whether they serve without being renewed.
    fn is_fresh(&self, now: SystemTime) -> bool {
        let postponed = self.postponed.is_some_and(|then| now < then);
        self.outlasts(now + MARGIN) || (postponed && self.outlasts(now))
    }

    fn outlasts(&self, then: SystemTime) -> bool {
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
        let answer = match cached.as_mut() {
            Some(fresh) if fresh.is_fresh(now) => return Ok(Arc::clone(&fresh.credential)),
            Some(valid) if valid.outlasts(now) => match self.ask().await {
                Err(error) => {
                    tracing::warn!("{}", no_credentials(error, "these serve until they expire"));
                    valid.postponed = Some(now + PAUSE);
                    return Ok(Arc::clone(&valid.credential));
                }
                answer => answer,
            },
            _ => self.ask_again().await,
        };
        let renewed = Cached::new(&answer.map_err(store_error)?);
        Ok(Arc::clone(&cached.insert(renewed).credential))
    }
}

/// Whether the same question may be answered a little later.
fn may_pass(error: &CredentialsError) -> bool {
    if matches!(error, CredentialsError::ProviderTimedOut(_)) {
        return true;
    }
    let mut cause = StdError::source(error);
    while let Some(error) = cause {
        // The SDK calls a connection that broke neither I/O nor a timeout.
        let is_broken = error.is::<hyper::Error>();
        let connector = error.downcast_ref::<ConnectorError>();
        let role = error.downcast_ref::<SdkError<AssumeRoleError>>();
        let identity = error.downcast_ref::<SdkError<AssumeRoleWithWebIdentityError>>();
        let timed_out = error.downcast_ref::<CredentialsError>();
        if is_broken
            || connector.is_some_and(|error| error.is_io() || error.is_timeout())
            || role.is_some_and(is_hiccup)
            || identity.is_some_and(is_hiccup)
            || timed_out.is_some_and(|e| matches!(e, CredentialsError::ProviderTimedOut(_)))
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Whether the security token service did not say no, but nothing.
fn is_hiccup<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    match error {
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => true,
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status();
            let code = answer.err().code().unwrap_or_default();
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
    if may_pass(&error) {
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

/// For the log.
fn no_credentials(error: CredentialsError, then: &str) -> String {
    let error = Error::unavailable("no new credentials").with_source(error);
    format!("{}; {then}", error.chain())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use aws_credential_types::provider::future;

    use super::*;

    /// Gives these answers, one after the other; after the last one, none at all.
    #[derive(Debug)]
    struct Answers {
        asked: Arc<AtomicUsize>,
        answers: Vec<fn() -> Result<Credentials, CredentialsError>>,
    }

    impl ProvideCredentials for Answers {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let asked = self.asked.fetch_add(1, Ordering::SeqCst);
            match self.answers.get(asked) {
                Some(answer) => future::ProvideCredentials::ready(answer()),
                None => future::ProvideCredentials::new(std::future::pending()),
            }
        }
    }

    fn asking(
        answers: &[fn() -> Result<Credentials, CredentialsError>],
    ) -> (ChainCredentials, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let answers = Answers {
            asked: Arc::clone(&asked),
            answers: answers.to_vec(),
        };
        let credentials = ChainCredentials {
            patience: Duration::from_millis(20),
            ..ChainCredentials::new(SharedCredentialsProvider::new(answers), FIRST_WAIT * 2)
        };
        (credentials, asked)
    }

    fn named(id: &str, expires: SystemTime) -> Credentials {
        Credentials::new(id, "secret", None, Some(expires), "test")
    }

    /// In the margin, but valid for as long as any test.
    fn soon() -> SystemTime {
        #[expect(clippy::disallowed_methods, reason = "credentials expire in real time")]
        let now = SystemTime::now();
        now + MARGIN - Duration::from_secs(10)
    }

    fn unanswered() -> Result<Credentials, CredentialsError> {
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
        Ok(named("second", soon() + MARGIN))
    }

    #[tokio::test]
    async fn what_may_pass_is_asked_again() {
        let (credentials, asked) = asking(&[unanswered, first]);
        assert_eq!(credentials.get_credential().await.unwrap().key_id, "first");
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_refusal_is_final_and_silence_is_not_a_refusal() {
        let (credentials, asked) = asking(&[refused]);
        let refusal = credentials.get_credential().await.unwrap_err();
        assert!(
            matches!(refusal, object_store::Error::Unauthenticated { .. }),
            "{refusal}"
        );
        assert_eq!(asked.load(Ordering::SeqCst), 1);

        let (credentials, asked) = asking(&[]);
        let silence = credentials.get_credential().await.unwrap_err();
        assert!(
            matches!(silence, object_store::Error::Generic { .. }),
            "{silence}"
        );
        assert!(asked.load(Ordering::SeqCst) > 1);
    }

    #[tokio::test]
    async fn credentials_that_cannot_be_renewed_serve_until_they_expire() {
        let (credentials, asked) = asking(&[first, unanswered, second]);
        for _ in 0..3 {
            assert_eq!(credentials.get_credential().await.unwrap().key_id, "first");
        }
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        credentials.cached.lock().await.as_mut().unwrap().postponed = None;
        for _ in 0..2 {
            assert_eq!(credentials.get_credential().await.unwrap().key_id, "second");
        }
        assert_eq!(asked.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn credentials_are_renewed_before_they_expire() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let mut cached = Cached::new(&Credentials::new("id", "secret", None, None, "test"));
        assert!(cached.is_fresh(at(1_000)));
        cached.expires = Some(at(1_301));
        assert!(cached.is_fresh(at(1_000)));
        cached.expires = Some(at(1_300));
        assert!(!cached.is_fresh(at(1_000)));
        cached.postponed = Some(at(2_000));
        assert!(cached.is_fresh(at(1_299)));
        assert!(!cached.is_fresh(at(1_300)));
    }
}
