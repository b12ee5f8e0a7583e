//! The writer: one task and one connection that commit all waiting writes together.
//!
//! While one batch commits, the next gathers: under load many writes share an fsync, and a lone write does not wait.
//! Within a batch each operation fails alone (see [`batch`]).

mod batch;
mod batched_rows;
mod tx;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::{FutureExt, future::BoxFuture};
use sea_orm::DatabaseConnection;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::last_recordings::LastRecordings;
use super::{RecordingRow, StoreError, connect::Target};
use crate::telemetry::metrics;

use batch::transact;
pub(super) use batched_rows::{ProjectedRow, RelayUpdate};
pub(super) use tx::Tx;

const LARGE_BATCH: usize = 256;
/// In a small batch no operation waits long for the others.
const SMALL_BATCH: usize = 16;
/// With more waiting operations than this, batches are large.
const LONG_QUEUE: usize = 128;
/// After a slower commit, batches are large.
const SLOW_COMMIT: Duration = Duration::from_millis(4);
/// Further callers wait for room.
const QUEUE_LENGTH: usize = 1024;
/// Longer than the database's own time limits.
const BATCH_TIMEOUT: Duration = Duration::from_secs(20);
/// A slower batch is logged.
const SLOW_BATCH: Duration = Duration::from_secs(1);

/// A write: all of it or nothing.
pub(super) trait Operation: Send + Sync + 'static {
    type Output: Send + 'static;

    /// Whether it may write to the outbox. The batch then locks the outbox's head first: two processes that locked it
    /// after other rows could deadlock.
    fn writes_outbox(&self) -> bool {
        false
    }

    /// The recordings it may write: see [`put_recordings`](super::operations::parts::put_recordings).
    fn recordings(&self) -> &[RecordingRow] {
        &[]
    }

    /// Whether it may run while other operations' rows are buffered: it must then not read relays, their keys,
    /// journals, the outbox or `channels`. Otherwise the buffered rows are written before it runs.
    fn is_batchable(&self) -> bool {
        false
    }

    /// On an error, its writes are rolled back.
    fn run(&self, tx: &Tx<'_>)
    -> impl Future<Output = Result<Self::Output, OperationError>> + Send;
}

#[derive(Debug)]
pub(super) enum OperationError {
    Whole(StoreError),
    /// Only the `channels` table rejected its row.
    Projection(StoreError),
}

impl<E: Into<StoreError>> From<E> for OperationError {
    fn from(error: E) -> Self {
        Self::Whole(error.into())
    }
}

#[derive(Debug, Clone)]
pub(super) struct Writer {
    queue: mpsc::Sender<Box<dyn AnyOperation>>,
    outbox_changed: watch::Sender<()>,
    closing: CancellationToken,
    closed: CancellationToken,
}

impl Writer {
    pub(super) fn start(
        target: Target,
        connection: DatabaseConnection,
        last_recordings: Arc<LastRecordings>,
    ) -> Self {
        let (queue, requests) = mpsc::channel(QUEUE_LENGTH);
        let outbox_changed = watch::Sender::new(());
        let closing = CancellationToken::new();
        let closed = CancellationToken::new();
        let task = WriterTask {
            requests,
            target,
            connection,
            last_recordings,
            commits_are_slow: false,
            outbox_changed: outbox_changed.clone(),
            closing: closing.clone(),
        };
        let done = closed.clone().drop_guard();
        tokio::spawn(async move {
            task.run().await;
            drop(done);
        });
        Self {
            queue,
            outbox_changed,
            closing,
            closed,
        }
    }

    pub(super) fn outbox_changes(&self) -> watch::Receiver<()> {
        self.outbox_changed.subscribe()
    }

    /// Called when another process has written to the outbox.
    pub(super) fn outbox_was_written(&self) {
        self.outbox_changed.send_replace(());
    }

    pub(super) async fn run<O: Operation>(&self, operation: O) -> Result<O::Output, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(QueuedOperation {
            operation,
            result: None,
            reply,
        });
        let gone = || StoreError::Unavailable("the store is closed".to_owned());
        self.queue.send(job).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    pub(super) async fn close(&self) {
        self.closing.cancel();
        self.closed.cancelled().await;
    }
}

/// An [`Operation`] of any type.
trait AnyOperation: Send {
    fn writes_outbox(&self) -> bool;
    fn recordings(&self) -> &[RecordingRow];
    fn is_batchable(&self) -> bool;
    fn run<'a>(&'a mut self, tx: &'a Tx<'a>) -> BoxFuture<'a, Ran>;
    /// Called if its buffered rows cannot be written.
    fn fail(&mut self, failure: OperationError) -> Ran;
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

enum Ran {
    Ok,
    Failed,
    /// The operation can run again without its projection, which was rejected.
    Projection(StoreError),
}

struct QueuedOperation<O: Operation> {
    operation: O,
    result: Option<Result<O::Output, StoreError>>,
    reply: oneshot::Sender<Result<O::Output, StoreError>>,
}

impl<O: Operation> AnyOperation for QueuedOperation<O> {
    fn writes_outbox(&self) -> bool {
        self.operation.writes_outbox()
    }

    fn recordings(&self) -> &[RecordingRow] {
        self.operation.recordings()
    }

    fn is_batchable(&self) -> bool {
        self.operation.is_batchable()
    }

    fn run<'a>(&'a mut self, tx: &'a Tx<'a>) -> BoxFuture<'a, Ran> {
        Box::pin(async move {
            match self.operation.run(tx).await {
                Ok(answer) => {
                    self.result = Some(Ok(answer));
                    Ran::Ok
                }
                Err(failure) => self.fail(failure),
            }
        })
    }

    fn fail(&mut self, failure: OperationError) -> Ran {
        match failure {
            OperationError::Whole(error) => {
                self.result = Some(Err(error));
                Ran::Failed
            }
            OperationError::Projection(error) => Ran::Projection(error),
        }
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let unfinished = || {
            Err(StoreError::Unavailable(
                "the operation did not run".to_owned(),
            ))
        };
        let answer = match committed {
            Ok(()) => self.result.unwrap_or_else(unfinished),
            Err(error) => Err(error),
        };
        let _ = self.reply.send(answer);
    }
}

struct WriterTask {
    requests: mpsc::Receiver<Box<dyn AnyOperation>>,
    target: Target,
    connection: DatabaseConnection,
    last_recordings: Arc<LastRecordings>,
    commits_are_slow: bool,
    outbox_changed: watch::Sender<()>,
    closing: CancellationToken,
}

impl WriterTask {
    async fn run(mut self) {
        let mut batch = Vec::with_capacity(LARGE_BATCH);
        loop {
            let most = self.most();
            tokio::select! {
                biased;
                () = self.closing.cancelled(), if !self.requests.is_closed() => self.requests.close(),
                count = self.requests.recv_many(&mut batch, most) => {
                    if count == 0 {
                        break;
                    }
                    self.commit(&mut batch).await;
                }
            }
        }
        let _ = self.connection.close().await;
    }

    fn most(&self) -> usize {
        if self.commits_are_slow || self.requests.len() > LONG_QUEUE {
            LARGE_BATCH
        } else {
            SMALL_BATCH
        }
    }

    async fn commit(&mut self, batch: &mut Vec<Box<dyn AnyOperation>>) {
        let begun = Instant::now();
        let outbox_written = AtomicBool::new(false);
        let attempt =
            AssertUnwindSafe(transact(&self.connection, batch, &outbox_written)).catch_unwind();
        let committed = match tokio::time::timeout(BATCH_TIMEOUT, attempt).await {
            Ok(Ok(committed)) => committed.map(|took| self.commits_are_slow = took > SLOW_COMMIT),
            Ok(Err(_)) => Err(StoreError::Unavailable("a write panicked".to_owned())),
            Err(_) => Err(StoreError::Unavailable(
                "the batch took too long".to_owned(),
            )),
        };
        if let Err(error) = &committed {
            tracing::warn!(%error, requests = batch.len(), "a batch was not committed");
            metrics::COMMITS_FAILED.add(1, []);
            self.commits_are_slow = true;
            self.renew();
        }
        if outbox_written.load(Ordering::Relaxed) {
            self.outbox_changed.send_replace(());
        }
        let seconds = begun.elapsed().as_secs_f64();
        metrics::COMMIT_DURATION.observe(seconds, []);
        let size = u32::try_from(batch.len()).unwrap_or(u32::MAX);
        metrics::COMMIT_BATCH.observe(f64::from(size), []);
        if begun.elapsed() > SLOW_BATCH {
            tracing::warn!(seconds, requests = batch.len(), "the database is slow");
        }
        // Before the answers: their receivers read. Also if the outcome of the commit is unknown.
        for recording in batch.iter().flat_map(|job| job.recordings()) {
            self.last_recordings.forget(recording.channel_id);
        }
        for job in batch.drain(..) {
            let outcome = committed
                .clone()
                .map_err(|error| StoreError::Unavailable(error.to_string()));
            job.answer(outcome);
        }
    }

    /// Replaces the connection; but an in-memory database exists only in its connection.
    fn renew(&mut self) {
        if !matches!(self.target, Target::Memory(_)) {
            self.connection = self.target.writer();
        }
    }
}
