//! The retry policy of store calls, and of the requests for credentials that precede them.

use std::time::Duration;

use object_store::{BackoffConfig, RetryConfig};

/// A policy for retrying what failed transiently: exponential backoff until a timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RetryPolicy {
    /// The time for which a call is retried.
    pub timeout: Duration,
    /// The backoff before the first retry; it doubles with each attempt.
    pub initial_backoff: Duration,
    /// The maximum backoff between two attempts.
    pub max_backoff: Duration,
}

impl RetryPolicy {
    /// Creates the policy of a store whose calls are retried for `timeout`.
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            initial_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(8),
        }
    }
}

impl From<RetryPolicy> for RetryConfig {
    fn from(policy: RetryPolicy) -> Self {
        Self {
            backoff: BackoffConfig {
                init_backoff: policy.initial_backoff,
                max_backoff: policy.max_backoff,
                base: 2.0,
            },
            // Only the timeout limits the attempts.
            max_retries: 100,
            retry_timeout: policy.timeout,
        }
    }
}
