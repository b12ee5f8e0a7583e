//! Mail between nodes: a row each, read once. It is for what may be lost with its reader: hints, and questions.

use sea_orm::{ActiveValue, EntityTrait, FromQueryResult};

use super::{Heard, statement};
use crate::store::entities::mail;
use crate::store::{Store, StoreError};

/// All that there is for a node, the oldest first.
const TAKE: &str = "WITH taken AS (DELETE FROM mail WHERE recipient = $1 RETURNING id, body) \
    SELECT body FROM taken ORDER BY id";

#[derive(FromQueryResult)]
struct Body {
    body: String,
}

impl Store {
    /// Sends a letter to a node.
    ///
    /// # Errors
    /// As [`Store::relay`].
    pub async fn send_mail(&self, recipient: i64, body: String) -> Result<(), StoreError> {
        let letter = mail::ActiveModel {
            id: ActiveValue::NotSet,
            recipient: ActiveValue::Set(recipient),
            body: ActiveValue::Set(body),
        };
        mail::Entity::insert(letter)
            .exec_without_returning(&self.fleet_sql())
            .await?;
        self.tell(Some(recipient), Heard::Mail).await
    }

    /// Takes all letters to a node, the oldest first.
    ///
    /// # Errors
    /// As [`Store::relay`]; letters may be lost then.
    pub async fn take_mail(&self, epoch: i64) -> Result<Vec<String>, StoreError> {
        let taken = Body::find_by_statement(statement(TAKE, [epoch.into()]))
            .all(&self.fleet_sql())
            .await?;
        Ok(taken.into_iter().map(|letter| letter.body).collect())
    }
}
