//! Runs an actor and always reports its end. actix's own `Supervisor` does not restart an actor that panics.

use std::sync::Arc;

use actix::dev::channel;
use actix::{Actor, Addr, Context};
use actix_rt::ArbiterHandle;
use parking_lot::Mutex;

use crate::telemetry::panic_text;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ExitCause {
    Finished,
    /// The actor stopped itself for this reason.
    Failed(String),
    Panicked(String),
    /// The thread ended.
    Cancelled,
}

/// Set before an actor stops itself.
#[derive(Debug, Clone, Default)]
pub(super) struct FailureReason(Arc<Mutex<Option<String>>>);

impl FailureReason {
    pub(super) fn set(&self, reason: String) {
        *self.0.lock() = Some(reason);
    }

    fn take(&self) -> Option<String> {
        self.0.lock().take()
    }
}

/// Reports even when the thread drops the task.
struct ExitNotice<F: FnOnce(ExitCause)>(Option<F>);

impl<F: FnOnce(ExitCause)> ExitNotice<F> {
    fn report(mut self, cause: ExitCause) {
        if let Some(on_exit) = self.0.take() {
            on_exit(cause);
        }
    }
}

impl<F: FnOnce(ExitCause)> Drop for ExitNotice<F> {
    fn drop(&mut self) {
        if let Some(on_exit) = self.0.take() {
            on_exit(ExitCause::Cancelled);
        }
    }
}

/// Calls `on_exit` exactly once, even when the thread has ended.
pub(super) fn start<A>(
    arbiter: &ArbiterHandle,
    actor: A,
    failure_reason: FailureReason,
    on_exit: impl FnOnce(ExitCause) + Send + 'static,
) -> Addr<A>
where
    A: Actor<Context = Context<A>> + Send,
{
    let (sender, receiver) = channel::channel(16);
    let notice = ExitNotice(Some(on_exit));
    arbiter.spawn_fn(move || {
        let task = actix_rt::spawn(Context::with_receiver(receiver).into_future(actor));
        actix_rt::spawn(async move {
            let cause = match task.await {
                Ok(()) => failure_reason
                    .take()
                    .map_or(ExitCause::Finished, ExitCause::Failed),
                Err(error) if error.is_panic() => {
                    ExitCause::Panicked(panic_text(&*error.into_panic()).to_owned())
                }
                Err(_) => ExitCause::Cancelled,
            };
            notice.report(cause);
        });
    });
    Addr::new(sender)
}
