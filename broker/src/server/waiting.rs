//! The answers of one connection that are under way, in the order of their requests.
//!
//! **Invariant:** each is polled before the next request is looked at, which starts it,
//! and then when it is the first: as in Kafka a later answer has no need to hurry.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;

use super::Outcome;

/// A queue of answers; only its task may poll it.
#[derive(Default)]
pub(super) struct Waiting(VecDeque<Answer>);

enum Answer {
    Ready(Outcome),
    Pending(BoxFuture<'static, Outcome>),
}

impl Answer {
    /// Notes that it is ready, if it is.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Self::Pending(answer) = self {
            let outcome = ready!(answer.as_mut().poll(context));
            *self = Self::Ready(outcome);
        }
        Poll::Ready(())
    }
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn push_ready(&mut self, outcome: Outcome) {
        self.0.push_back(Answer::Ready(outcome));
    }

    /// Starts the answer, which wakes the calling task from now on; waits for nothing.
    /// The first one starts with `next`.
    pub(super) async fn push(&mut self, answer: BoxFuture<'static, Outcome>) {
        let mut answer = Answer::Pending(answer);
        if !self.is_empty() {
            poll_fn(|context| {
                let _ = answer.poll(context);
                Poll::Ready(())
            })
            .await;
        }
        self.0.push_back(answer);
    }

    /// The first answer, when it is there; pending while there is none. Cancel safe.
    pub(super) async fn next(&mut self) -> Outcome {
        poll_fn(|context| {
            let Some(first) = self.0.front_mut() else {
                return Poll::Pending;
            };
            ready!(first.poll(context));
            match self.0.pop_front() {
                Some(Answer::Ready(outcome)) => Poll::Ready(outcome),
                _ => Poll::Pending,
            }
        })
        .await
    }
}
