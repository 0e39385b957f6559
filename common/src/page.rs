//! The frame of the pages that people see on the admin ports.
//!
//! **Invariant:** no scripts, and nothing is loaded from elsewhere.

use axum::http::header;
use axum::response::{Html, IntoResponse, Response};

const STYLE: &str = include_str!("page.css");
/// Nothing is loaded, from anywhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

/// A page around `body`, which is HTML already; reloaded every `refresh` seconds.
#[must_use]
pub fn document(title: &str, body: &str, refresh: Option<u32>) -> Response {
    let refresh = refresh.map_or_else(String::new, |seconds| {
        format!("<meta http-equiv=\"refresh\" content=\"{seconds}\">\n")
    });
    let title = escape(title);
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         {refresh}<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n{body}</body>\n</html>\n"
    );
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, Html(page)).into_response()
}

/// Text as HTML. Control characters are shown, not sent.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            '\n' | '\t' => html.push(c),
            c if c.is_control() => html.push('\u{fffd}'),
            c => html.push(c),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_clients_stay_texts() {
        assert_eq!(
            escape("<a href='x'>&\"\x1b[2J"),
            "&lt;a href=&#39;x&#39;&gt;&amp;&quot;\u{fffd}[2J"
        );
    }
}
