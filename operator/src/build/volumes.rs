//! Volumes of pods, where they are mounted, and the claims of those that hold data.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        ConfigMapVolumeSource, EmptyDirVolumeSource, KeyToPath, PersistentVolumeClaim, PersistentVolumeClaimSpec,
        SecretVolumeSource, Volume, VolumeMount, VolumeResourceRequirements,
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};

use crate::{api::Storage, names::Component, steps::validate::ValidChat};

/// A ConfigMap.
pub(crate) fn config_map(name: &str, config_map: String) -> Volume {
    Volume {
        name: name.into(),
        config_map: Some(ConfigMapVolumeSource { name: config_map, ..ConfigMapVolumeSource::default() }),
        ..Volume::default()
    }
}

/// A Secret, or one entry of it.
pub(crate) fn secret(name: &str, secret: &str, entry: Option<&str>) -> Volume {
    Volume {
        name: name.into(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.into()),
            default_mode: Some(0o440),
            items: entry.map(|entry| vec![item(entry)]),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// An entry of a Secret as a file of its name.
pub(crate) fn item(entry: &str) -> KeyToPath {
    KeyToPath { key: entry.into(), path: entry.into(), ..KeyToPath::default() }
}

/// An empty folder that goes with its pod; `medium` is `Memory` for what is to reach no disk.
pub(crate) fn empty(name: &str, medium: Option<&str>, size: &str) -> Volume {
    Volume {
        name: name.into(),
        empty_dir: Some(EmptyDirVolumeSource {
            medium: medium.map(String::from),
            size_limit: Some(Quantity(size.into())),
            ..EmptyDirVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// `/tmp` for a root filesystem that cannot be written.
pub(crate) fn tmp() -> (Volume, VolumeMount) {
    (empty("tmp", None, "256Mi"), writable("tmp", "/tmp"))
}

/// A volume to read.
pub(crate) fn read_only(name: &str, path: &str) -> VolumeMount {
    VolumeMount { read_only: Some(true), ..writable(name, path) }
}

/// A volume to read and write.
pub(crate) fn writable(name: &str, path: &str) -> VolumeMount {
    VolumeMount { name: name.into(), mount_path: path.into(), ..VolumeMount::default() }
}

/// The template of the claims of a StatefulSet's pods, which is also the volume `data` of each.
pub(crate) fn claim(chat: &ValidChat, component: Component, storage: &Storage) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some("data".into()),
            // Labels of a claim template are immutable like selectors.
            labels: Some(chat.names.selector(component)),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".into()]),
            storage_class_name: storage.class_name.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".into(), Quantity(storage.size.clone()))])),
                ..VolumeResourceRequirements::default()
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}
