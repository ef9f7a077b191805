"""Clouds: AWS IoT Core, Azure IoT Hub, Google Cloud. Each name loads its module on first use.

Google retired its IoT Core on 16 August 2023: `GCPIoTConnector` speaks to Pub/Sub.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gl002.integrations.loading import lazily

if TYPE_CHECKING:
    from gl002.integrations.cloud.aws import AWSIoTConnector, SyncAWSIoTConnector
    from gl002.integrations.cloud.azure import AzureIoTConnector, SyncAzureIoTConnector
    from gl002.integrations.cloud.gcp import GCPIoTConnector, SyncGCPIoTConnector

__all__ = [
    "AWSIoTConnector",
    "AzureIoTConnector",
    "GCPIoTConnector",
    "SyncAWSIoTConnector",
    "SyncAzureIoTConnector",
    "SyncGCPIoTConnector",
]

__getattr__ = lazily(
    __name__,
    {
        "AWSIoTConnector": "aws",
        "AzureIoTConnector": "azure",
        "GCPIoTConnector": "gcp",
        "SyncAWSIoTConnector": "aws",
        "SyncAzureIoTConnector": "azure",
        "SyncGCPIoTConnector": "gcp",
    },
)
