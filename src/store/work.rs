//! Knowing when nothing speaks to the store any more.

use tokio::sync::mpsc;

/// Work that may outlive whoever began it: a task that is aborted still ends a little later.
#[derive(Debug)]
pub struct Work {
    token: Token,
    ended: mpsc::Receiver<()>,
}

/// Held by a piece of work as long as it lasts. Nothing is ever sent: the channel closes when the
/// last token is dropped.
#[derive(Debug, Clone)]
pub struct Token(#[expect(dead_code, reason = "held, not used")] mpsc::Sender<()>);

impl Work {
    pub fn new() -> Self {
        let (token, ended) = mpsc::channel(1);
        Self {
            token: Token(token),
            ended,
        }
    }

    pub fn token(&self) -> Token {
        self.token.clone()
    }

    /// Returns when every token has been dropped.
    pub async fn ended(self) {
        let Self { token, mut ended } = self;
        drop(token);
        let _ = ended.recv().await;
    }
}

impl Default for Work {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn work_has_ended_when_its_last_token_is_dropped() {
        let work = Work::new();
        let (first, second) = (work.token(), work.token());
        let mut ended = Box::pin(work.ended());
        assert_eq!(futures::poll!(ended.as_mut()), Poll::Pending);
        drop(first);
        assert_eq!(futures::poll!(ended.as_mut()), Poll::Pending);
        drop(second);
        ended.await;
    }
}
