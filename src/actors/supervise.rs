//! Children whose death is heard of. actix's own `Supervisor` does not restart an actor that panics; so an actor is run
//! as a task of its own whose end, whatever it was, is told to its parent.

use std::sync::Arc;

use actix::dev::channel;
use actix::{Actor, Addr, Context};
use actix_rt::ArbiterHandle;
use parking_lot::Mutex;

use crate::telemetry::panic_text;

/// How a child came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ExitCause {
    /// Its work is done.
    Finished,
    /// It gave up, and said why.
    Failed(String),
    /// It panicked.
    Panicked(String),
    /// Its thread has gone.
    Cancelled,
}

/// Where a child leaves a word before it gives up.
#[derive(Debug, Clone, Default)]
pub(super) struct FailureReason(Arc<Mutex<Option<String>>>);

impl FailureReason {
    /// Leaves it.
    pub(super) fn set(&self, reason: String) {
        *self.0.lock() = Some(reason);
    }

    fn take(&self) -> Option<String> {
        self.0.lock().take()
    }
}

/// Tells the parent once, also when the child's thread goes and nothing runs any more.
struct ExitNotice<F: FnOnce(ExitCause)>(Option<F>);

impl<F: FnOnce(ExitCause)> ExitNotice<F> {
    fn give(mut self, cause: ExitCause) {
        if let Some(tell) = self.0.take() {
            tell(cause);
        }
    }
}

impl<F: FnOnce(ExitCause)> Drop for ExitNotice<F> {
    fn drop(&mut self) {
        if let Some(tell) = self.0.take() {
            tell(ExitCause::Cancelled);
        }
    }
}

/// Runs the actor that `build` makes on a thread. `on_exit` is called exactly once, when it has come to its end: also
/// when `build` panics, or the thread is gone.
pub(super) fn start<A>(
    arbiter: &ArbiterHandle,
    build: impl FnOnce() -> A + Send + 'static,
    failure_reason: FailureReason,
    on_exit: impl FnOnce(ExitCause) + Send + 'static,
) -> Addr<A>
where
    A: Actor<Context = Context<A>>,
{
    let (sender, receiver) = channel::channel(16);
    let notice = ExitNotice(Some(on_exit));
    arbiter.spawn_fn(move || {
        let life = actix_rt::spawn(async move {
            Context::with_receiver(receiver).into_future(build()).await;
        });
        actix_rt::spawn(async move {
            let cause = match life.await {
                Ok(()) => failure_reason
                    .take()
                    .map_or(ExitCause::Finished, ExitCause::Failed),
                Err(error) if error.is_panic() => {
                    ExitCause::Panicked(panic_text(&*error.into_panic()).to_owned())
                }
                Err(_) => ExitCause::Cancelled,
            };
            notice.give(cause);
        });
    });
    Addr::new(sender)
}
