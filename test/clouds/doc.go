// Package clouds checks that the object store sink keeps its promises on servers
// that speak the protocols of the clouds: versitygw for S3, fake-gcs-server for
// Google Cloud Storage and Azurite for Azure Blob Storage. The servers are on the
// loopback interface and end with the test.
package clouds
