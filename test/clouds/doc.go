// Package clouds checks that the object store sink keeps its promises on servers
// that speak the protocols of the clouds: versitygw for S3 and fake-gcs-server
// for Google Cloud Storage. The servers are on the loopback interface and end
// with the test.
package clouds
