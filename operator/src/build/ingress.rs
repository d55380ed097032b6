//! The optional Ingress in front of the gateway.

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend, IngressSpec,
    IngressTLS, ServiceBackendPort,
};

use super::metadata;
use crate::{names::Component, steps::validate::ValidChat};

pub(super) fn ingress(chat: &ValidChat) -> Option<Ingress> {
    let gateway = &chat.spec.gateway;
    let wanted = gateway.ingress.as_ref()?;
    let mut metadata = metadata(chat, chat.names.gateway(), Some(Component::Gateway));
    metadata.annotations = Some(wanted.annotations.clone()).filter(|map| !map.is_empty());
    let backend = IngressBackend {
        service: Some(IngressServiceBackend {
            name: chat.names.gateway(),
            port: Some(ServiceBackendPort { name: Some("http".into()), ..ServiceBackendPort::default() }),
        }),
        ..IngressBackend::default()
    };
    Some(Ingress {
        metadata,
        spec: Some(IngressSpec {
            ingress_class_name: wanted.class_name.clone(),
            rules: Some(vec![IngressRule {
                host: gateway.host.clone(),
                http: Some(HTTPIngressRuleValue {
                    paths: vec![HTTPIngressPath { path: Some("/".into()), path_type: "Prefix".into(), backend }],
                }),
            }]),
            tls: gateway.tls.as_ref().map(|tls| {
                vec![IngressTLS {
                    hosts: gateway.host.clone().map(|host| vec![host]),
                    secret_name: Some(tls.secret.name.clone()),
                }]
            }),
            ..IngressSpec::default()
        }),
        status: None,
    })
}
