//! The settings of the AWS environment that say where a bucket is: profile, endpoint and region.
//!
//! The SDK ignores a profile that is not there and an endpoint that is no address, and a request then goes
//! to another place than was meant. Here both are errors.

use std::time::Duration;

use aws_config::profile::ProfileFileLoadError;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_types::os_shim_internal::{Env, Fs};
use aws_types::service_config::ServiceConfigKey;
use url::Url;

use crate::env;
use crate::error::{Error, Result};

/// The timeout of opening a connection.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The settings of S3 in the environment and in the profile.
pub(super) struct S3Settings {
    /// The rest of the AWS environment, with the credential chain.
    pub chain: SdkConfig,
    /// The endpoint; absent for AWS itself.
    pub endpoint: Option<String>,
    pub region: String,
}

impl S3Settings {
    /// Reads the settings of the environment and of the profile.
    ///
    /// # Errors
    /// [`Error::invalid`] if a setting is wrong, or if no region is set for AWS. `bucket` is part of the
    /// message.
    pub(super) async fn load(bucket: &str) -> Result<Self> {
        check_profile().await?;
        let https = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let chain = aws_config::defaults(BehaviorVersion::latest())
            .http_client(https)
            // The SDK's default of 3.1 s is too short for a handshake with an overloaded machine.
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT_TIMEOUT)
                    .build(),
            )
            .load()
            .await;
        let endpoint = endpoint(&chain);
        if let Some(endpoint) = &endpoint {
            check_endpoint(endpoint)?;
        }
        let region = match (chain.region(), &endpoint) {
            (Some(region), _) => region.to_string(),
            // Servers other than AWS accept any region.
            (None, Some(_)) => "us-east-1".to_owned(),
            (None, None) => {
                return Err(Error::invalid(format!(
                    "no AWS region is set for the bucket `{bucket}`"
                ))
                .with_hint("set AWS_REGION, or `region` in the profile"));
            }
        };
        Ok(Self {
            chain,
            endpoint,
            region,
        })
    }
}

/// Returns the endpoint of S3 as it is set: by AWS_ENDPOINT_URL_S3, in a `services` section of the profile,
/// by AWS_ENDPOINT_URL, or by `endpoint_url` of the profile, in this order. Unlike
/// [`SdkConfig::endpoint_url`], an address that is wrong is returned as well.
fn endpoint(chain: &SdkConfig) -> Option<String> {
    let key = ServiceConfigKey::builder()
        .service_id("s3")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .ok()?;
    let set = chain.service_config()?.load_config(key);
    set.or_else(|| env::var("AWS_ENDPOINT_URL"))
        .filter(|endpoint| !endpoint.is_empty())
}

/// Checks that the profile that AWS_PROFILE names exists.
async fn check_profile() -> Result<()> {
    let Some(name) = env::var("AWS_PROFILE") else {
        return Ok(());
    };
    let files = EnvConfigFiles::default();
    let profiles = aws_config::profile::load(&Fs::real(), &Env::real(), &files, None)
        .await
        .map_err(unreadable_profiles)?;
    if profiles.get_profile(&name).is_some() {
        return Ok(());
    }
    let mut known: Vec<&str> = profiles.profiles().collect();
    known.sort_unstable();
    let known = match known.as_slice() {
        [] => "there are no profiles".to_owned(),
        known => format!("the profiles are: {}", known.join(", ")),
    };
    Err(
        Error::invalid(format!("AWS_PROFILE: there is no profile `{name}`")).with_hint(format!(
            "{known}; they come from ~/.aws/config and ~/.aws/credentials, or from the files that \
             AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name"
        )),
    )
}

fn unreadable_profiles(error: ProfileFileLoadError) -> Error {
    Error::invalid("AWS_PROFILE: the files of the profiles cannot be read").with_source(error)
}

/// Checks that an endpoint is an address, and has no user name and password: requests are signed, so they
/// would be of no use, but be part of the address in messages.
///
/// # Errors
/// Fails if it is not or has; an endpoint that may hold a password is not part of the message.
fn check_endpoint(endpoint: &str) -> Result<()> {
    let hint = "set AWS_ENDPOINT_URL, or `endpoint_url` in the profile, to an address such as \
                `https://host:port`; credentials come from the environment, a profile or a role";
    let wrong = |what: &str| Error::invalid(format!("the endpoint of S3 {what}")).with_hint(hint);
    match Url::parse(endpoint) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            Err(wrong("has a user name or a password in it"))
        }
        Ok(url) if url.has_host() && matches!(url.scheme(), "http" | "https") => Ok(()),
        Ok(_) | Err(_) if endpoint.contains('@') => {
            Err(wrong("is not an http:// or https:// address"))
        }
        Ok(_) | Err(_) if is_host(endpoint) => Err(Error::invalid(format!(
            "the endpoint of S3 has no scheme: `{endpoint}`"
        ))
        .with_hint(format!(
            "set AWS_ENDPOINT_URL, or `endpoint_url` in the profile, to `https://{endpoint}`, or to \
             `http://{endpoint}` for a server without TLS"
        ))),
        Ok(_) | Err(_) => Err(wrong(&format!(
            "is not an http:// or https:// address: `{endpoint}`"
        ))),
    }
}

/// Returns true if an endpoint is an address without its scheme.
fn is_host(endpoint: &str) -> bool {
    !endpoint.contains("://")
        && !endpoint.starts_with('/')
        && Url::parse(&format!("http://{endpoint}")).is_ok_and(|url| url.has_host())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_addresses_without_secrets() {
        for endpoint in ["http://127.0.0.1:9000", "https://s3.example.com/base"] {
            check_endpoint(endpoint).unwrap();
        }
        for endpoint in [
            "http://user:hunter2@host:9000",
            "http://hunter2@host",
            "user:hunter2@host",
            "https://user:hun/ter2@host",
            "hunter2@host:9000",
            "ftp://hunter2@host",
        ] {
            let error = check_endpoint(endpoint).unwrap_err().render();
            assert!(error.contains("AWS_ENDPOINT_URL"), "{error}");
            assert!(!error.contains("ter2"), "{error}");
        }
    }

    #[test]
    fn the_form_of_an_endpoint_without_a_scheme_is_shown() {
        for endpoint in [
            "localhost:9000",
            "127.0.0.1:9000",
            "s3.example.com/base",
            "[::1]:9000",
        ] {
            let error = check_endpoint(endpoint).unwrap_err().render();
            assert!(error.contains("has no scheme"), "{error}");
            assert!(error.contains(&format!("`http://{endpoint}`")), "{error}");
        }
        for endpoint in [
            "ftp://host",
            "http://",
            "s3://bucket",
            "//host",
            "file:///x",
        ] {
            let error = check_endpoint(endpoint).unwrap_err().render();
            assert!(
                error.contains("is not an http:// or https:// address"),
                "{error}"
            );
            assert!(error.contains(endpoint), "{error}");
        }
    }
}
