//! Random credentials.

use super::dice::Dice;
use super::ivs::SimAwsAccount;

pub(in crate::sandbox) struct Credentials {
    pub(in crate::sandbox) account_id: String,
    pub(in crate::sandbox) cloudflare_token: String,
    pub(in crate::sandbox) app_id: String,
    pub(in crate::sandbox) app_certificate: String,
    pub(in crate::sandbox) customer_id: String,
    pub(in crate::sandbox) customer_secret: String,
    pub(in crate::sandbox) live_webhook_secret: String,
    pub(in crate::sandbox) stream_webhook_secret: String,
    pub(in crate::sandbox) agora_webhook_secret: String,
    pub(in crate::sandbox) mux_environment: String,
    pub(in crate::sandbox) mux_token_id: String,
    pub(in crate::sandbox) mux_token_secret: String,
    pub(in crate::sandbox) mux_webhook_secret: String,
    pub(in crate::sandbox) ivs: SimAwsAccount,
}

impl Credentials {
    pub(in crate::sandbox) fn draw(dice: &mut Dice) -> Self {
        Self {
            account_id: dice.hex(32),
            cloudflare_token: dice.word(40),
            app_id: dice.hex(32),
            app_certificate: dice.hex(32),
            customer_id: dice.hex(32),
            customer_secret: dice.hex(32),
            live_webhook_secret: dice.word(32),
            stream_webhook_secret: dice.hex(40),
            agora_webhook_secret: dice.word(20),
            mux_environment: dice.word(6),
            mux_token_id: dice.uuid(),
            mux_token_secret: dice.word(75),
            mux_webhook_secret: dice.word(32),
            ivs: SimAwsAccount::draw(dice),
        }
    }
}
