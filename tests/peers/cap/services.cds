// The entities that the connector uses, as SAP names them, served by SAP's own stack: version 4 natively,
// version 2 by the adapter. Types and lengths: metadata on SAP's Business Accelerator Hub.

@path: 'product'
@requires: 'authenticated-user'
service API_PRODUCT_SRV {
  entity A_Product {
    key Product : String(40);
    ProductType : String(4);
    BaseUnit : String(3);
    ProductGroup : String(9);
    GrossWeight : Decimal(13, 3);
    NetWeight : Decimal(13, 3);
    WeightUnit : String(3);
    to_Description : Composition of many A_ProductDescription on to_Description.Product = $self.Product;
  }

  entity A_ProductDescription {
    key Product : String(40);
    key Language : String(2);
    ProductDescription : String(40);
  }
}

@path: 'notification'
@requires: 'authenticated-user'
service API_MAINTNOTIFICATION {
  entity MaintenanceNotification {
    key MaintenanceNotification : String(12);
    NotificationType : String(2);
    NotificationText : String(40);
    TechnicalObject : String(40);
    TechObjIsEquipOrFuncnlLoc : String(20);
    MaintPriority : String(1);
    MaintenanceObjectIsDown : Boolean;
    MalfunctionStartDate : Date;
    MalfunctionStartTime : Time;
    MaintNotifExtReferenceNumber : String(20);
    ReportedByUser : String(12);
    MaintNotifLongTextForEdit : String(1333);
    @odata.etag
    LastChangeDateTime : Timestamp @cds.on.insert: $now @cds.on.update: $now;
  }
}

@path: 'order'
@requires: 'authenticated-user'
service API_MAINTENANCEORDER {
  entity MaintenanceOrder {
    key MaintenanceOrder : String(12);
    MaintenanceOrderType : String(4);
    MaintenanceOrderDesc : String(40);
    Equipment : String(18);
    FunctionalLocation : String(30);
    MaintenancePlanningPlant : String(4);
    MainWorkCenter : String(8);
    MaintenanceActivityType : String(3);
    MaintPriority : String(1);
    MaintOrdBasicStartDateTime : DateTime;
  }
}

@path: 'measurement'
@requires: 'authenticated-user'
service API_MEASUREMENTDOCUMENT {
  entity MeasurementDocument {
    key MeasurementDocument : String(20);
    MeasuringPoint : String(12);
    MsmtRdngDate : Date;
    MsmtRdngTime : Time;
    MeasurementReadingInEntryUoM : Double;
    MeasurementReadingEntryUoM : String(6);
    MeasurementDocumentText : String(40);
    MsmtRdngByUser : String(12);
  }
}

@path: 'point'
@requires: 'authenticated-user'
service API_MEASURINGPOINT {
  entity MeasuringPoint {
    key MeasuringPoint : String(12);
    MeasuringPointPositionNumber : String(20);
  }
}
