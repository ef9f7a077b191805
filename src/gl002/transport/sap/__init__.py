"""SAP: functions over SOAP or SAP's own library, entities over OData, documents over either."""
