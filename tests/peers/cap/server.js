// Numbers are given by the server, as in SAP.
const cds = require('@sap/cds')
let last = 10000000
cds.on('serving', service => {
  const numbered = {
    API_MAINTNOTIFICATION: 'MaintenanceNotification', API_MAINTENANCEORDER: 'MaintenanceOrder',
    API_MEASUREMENTDOCUMENT: 'MeasurementDocument',
  }
  const entity = numbered[service.name]
  if (entity) service.before('CREATE', entity, request => { request.data[entity] = String(++last) })
})
cds.on('served', async () => {
  const { A_Product, A_ProductDescription } = cds.entities('API_PRODUCT_SRV')
  const { MeasuringPoint } = cds.entities('API_MEASURINGPOINT')
  await INSERT.into(A_Product).entries({
    Product: 'NATURAL_GAS', ProductType: 'ROH', BaseUnit: 'M3', ProductGroup: 'FUEL',
    GrossWeight: 0.8, NetWeight: 0.8, WeightUnit: 'KG',
  })
  await INSERT.into(A_ProductDescription).entries(
    { Product: 'NATURAL_GAS', Language: 'DE', ProductDescription: 'Erdgas' },
    { Product: 'NATURAL_GAS', Language: 'EN', ProductDescription: 'Natural gas' })
  await INSERT.into(MeasuringPoint).entries(
    { MeasuringPoint: '12', MeasuringPointPositionNumber: 'BOILER_001_EFF' })
})
