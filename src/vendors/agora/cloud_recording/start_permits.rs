//! The permits of starts, taken together with the acquire's and kept until the start.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::vendors::governor::Permit;

/// A start follows its acquire within 2 s (`agora.md §2.3`). Unused permits are dropped after this time.
const KEPT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Default)]
pub(super) struct StartPermits(Arc<Mutex<HashMap<String, Permit>>>);

impl StartPermits {
    pub(super) fn keep(&self, resource_id: &str, permit: Permit) {
        self.0.lock().insert(resource_id.to_owned(), permit);
        let (permits, resource_id) = (self.clone(), resource_id.to_owned());
        tokio::spawn(async move {
            tokio::time::sleep(KEPT).await;
            permits.take(&resource_id);
        });
    }

    pub(super) fn take(&self, resource_id: &str) -> Option<Permit> {
        self.0.lock().remove(resource_id)
    }
}
