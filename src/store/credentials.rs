//! The standard AWS credential chain, as `object_store` wants it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use tokio::sync::Mutex;

/// Refreshed this long before they expire.
const MARGIN: Duration = Duration::from_secs(300);

/// Credentials of the chain, kept until shortly before they expire.
#[derive(Debug)]
pub struct ChainCredentials {
    provider: SharedCredentialsProvider,
    cached: Mutex<Option<Cached>>,
}

#[derive(Debug)]
struct Cached {
    credential: Arc<AwsCredential>,
    expires: Option<SystemTime>,
}

impl ChainCredentials {
    pub fn new(provider: SharedCredentialsProvider) -> Self {
        Self {
            provider,
            cached: Mutex::new(None),
        }
    }
}

impl Cached {
    fn is_fresh(&self, now: SystemTime) -> bool {
        self.expires.is_none_or(|expires| now + MARGIN < expires)
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
        if let Some(fresh) = cached.as_ref().filter(|cached| cached.is_fresh(now)) {
            return Ok(Arc::clone(&fresh.credential));
        }
        let credentials = self.provider.provide_credentials().await.map_err(|error| {
            object_store::Error::Unauthenticated {
                path: "the AWS credential chain".to_owned(),
                source: Box::new(error),
            }
        })?;
        let credential = Arc::new(AwsCredential {
            key_id: credentials.access_key_id().to_owned(),
            secret_key: credentials.secret_access_key().to_owned(),
            token: credentials.session_token().map(str::to_owned),
        });
        *cached = Some(Cached {
            credential: Arc::clone(&credential),
            expires: credentials.expiry(),
        });
        Ok(credential)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_renewed_before_they_expire() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let cached = |expires| Cached {
            credential: Arc::new(AwsCredential {
                key_id: String::new(),
                secret_key: String::new(),
                token: None,
            }),
            expires,
        };
        assert!(cached(None).is_fresh(at(1_000)));
        assert!(cached(Some(at(1_301))).is_fresh(at(1_000)));
        assert!(!cached(Some(at(1_300))).is_fresh(at(1_000)));
    }
}
