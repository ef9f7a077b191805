"""Azure IoT Hub: how a connection is configured."""
