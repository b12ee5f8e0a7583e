//! The console without a browser.

use reqwest::Client;
use reqwest::redirect::Policy;

/// Returns redirects and does not follow them.
pub fn client() -> Client {
    let client = Client::builder().no_proxy().redirect(Policy::none());
    client.build().unwrap()
}

/// The token in a page that a session's changes have to send.
pub fn csrf_token(page: &str) -> &str {
    let rest = page.split("name=\"csrf\" content=\"").nth(1).unwrap();
    rest.split('"').next().unwrap()
}
