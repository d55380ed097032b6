//! Uploaded files at the gateway: the bytes go between clients and where they are kept, by links that are signed for the
//! host that the client uses.

use sentinel_domain::config::LimitsConfig;

use super::{nginx_routes, stores};
use crate::{api::Store, providers, steps::validate::ValidChat};

/// The location of files: nothing where clients reach them by another way.
pub(super) fn locations(chat: &ValidChat) -> String {
    let template = match (chat.is_distributed(), chat.managed(Store::S3)) {
        (false, _) => PLATFORM,
        (true, Some(_)) => BUCKET,
        (true, None) => return String::new(),
    };
    template
        .replace("@BODY@", &LimitsConfig::default().media_bytes.to_string())
        .replace("@BUCKET@", stores::BUCKET)
        .replace("@FILES@", &target(chat))
}

/// What `proxy_pass` calls the managed S3.
fn target(chat: &ValidChat) -> String {
    match &chat.cluster_dns {
        Some(dns) => nginx_routes::in_domain(&address(chat), &dns.domain),
        None => UPSTREAM.to_owned(),
    }
}

/// The upstream, where it is looked up at start.
pub(super) fn upstream(chat: &ValidChat) -> String {
    if chat.managed(Store::S3).is_none() || chat.cluster_dns.is_some() {
        return String::new();
    }
    format!(
        "  upstream {UPSTREAM} {{\n    # The only server must never be marked as failed.\n    server {} max_fails=0;\n    keepalive 16;\n  }}\n",
        address(chat)
    )
}

/// Host and port of the managed S3.
fn address(chat: &ValidChat) -> String {
    let endpoint = providers::connection(chat, Store::S3).endpoints.swap_remove(0);
    endpoint.rsplit("//").next().unwrap_or_default().to_owned()
}

const UPSTREAM: &str = "files";

/// Files of the platform's own volume.
const PLATFORM: &str = r"
    location /media/files/ {
      client_max_body_size @BODY@;
      proxy_pass @PASS@;
    }
";

/// Objects of the managed S3. The signature is for the host as the client wrote it; a token is for the platform only, and
/// S3 takes one kind of credentials at a time.
const BUCKET: &str = r#"
    location /@BUCKET@/ {
      limit_except GET PUT OPTIONS {
        deny all;
      }
      add_header X-Content-Type-Options nosniff always;
      add_header Referrer-Policy no-referrer always;
      add_header Content-Security-Policy "default-src 'none'; sandbox; frame-ancestors 'none'" always;
      add_header Strict-Transport-Security $strict_transport always;
      add_header Access-Control-Allow-Origin $allowed_origin always;
      add_header Access-Control-Allow-Methods "GET, PUT" always;
      add_header Access-Control-Allow-Headers "content-type, if-none-match, if-range, range" always;
      add_header Access-Control-Expose-Headers "accept-ranges, content-disposition, content-range, etag" always;
      add_header Access-Control-Max-Age 600 always;
      add_header Vary Origin always;
      if ($request_method = OPTIONS) {
        return 204;
      }
      client_max_body_size @BODY@;
      proxy_set_header Host $http_host;
      proxy_set_header Connection "";
      proxy_set_header Authorization "";
      proxy_set_header X-Request-Id $trace_id;
      set $files @FILES@;
      proxy_pass http://$files;
    }
"#;
