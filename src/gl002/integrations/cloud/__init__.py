"""Clouds: AWS IoT Core, Azure IoT Hub. Each name loads its module on first use.

Google retired its IoT Core on 16 August 2023; there is nothing left to connect to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gl002.integrations.loading import lazily

if TYPE_CHECKING:
    from gl002.integrations.cloud.aws import AWSIoTConnector, SyncAWSIoTConnector
    from gl002.integrations.cloud.azure import AzureIoTConnector, SyncAzureIoTConnector

__all__ = [
    "AWSIoTConnector",
    "AzureIoTConnector",
    "SyncAWSIoTConnector",
    "SyncAzureIoTConnector",
]

__getattr__ = lazily(
    __name__,
    {
        "AWSIoTConnector": "aws",
        "AzureIoTConnector": "azure",
        "SyncAWSIoTConnector": "aws",
        "SyncAzureIoTConnector": "azure",
    },
)
