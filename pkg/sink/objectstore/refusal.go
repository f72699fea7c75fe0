package objectstore

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/aws/smithy-go"
	"gocloud.dev/gcerrors"
	"google.golang.org/api/googleapi"

	"kollect.io/kollect/pkg/sink"
)

// explain says what would mend the errors that operators meet; precondition is
// what an unmet condition means.
func (b *blobs) explain(err, precondition error) error {
	switch {
	case err == nil:
		return nil
	case gcerrors.Code(err) == gcerrors.FailedPrecondition:
		return precondition
	case skewed(err): // which may mend itself
		return fmt.Errorf("%w: set the clock of the server", err)
	case refused(err):
		return sink.Permanent(fmt.Errorf("%w: mend the credentials in the sink's Secret, or the clock of the server", err))
	case denied(err):
		return sink.Permanent(fmt.Errorf("%w: allow the sink's credentials %s", err, b.hint))
	case missing(err):
		return sink.Permanent(fmt.Errorf("%w: make the bucket that spec.objectStore.url names", err))
	}
	return err
}

// missing reports whether there is no such object or bucket. The driver of GCS
// says so too of what may not be seen, which is another matter: an export that took
// that for an empty place would begin anew.
func missing(err error) bool { return gcerrors.Code(err) == gcerrors.NotFound && !denied(err) }

// denied reports whether the credentials are good, and not allowed to do that.
func denied(err error) bool {
	var google *googleapi.Error
	if errors.As(err, &google) {
		return google.Code == http.StatusForbidden
	}
	var azure *azcore.ResponseError
	if errors.As(err, &azure) {
		return azure.StatusCode == http.StatusForbidden
	}
	return gcerrors.Code(err) == gcerrors.PermissionDenied
}

// refused reports whether the store does not take the credentials.
func refused(err error) bool {
	switch apiCode(err) {
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken":
		return true
	}
	var google *googleapi.Error
	if errors.As(err, &google) {
		return google.Code == http.StatusUnauthorized
	}
	var azure *azcore.ResponseError
	if errors.As(err, &azure) {
		return azure.StatusCode == http.StatusUnauthorized || azure.ErrorCode == string(bloberror.AuthenticationFailed)
	}
	// That is how a key of a service account which was removed is refused.
	return strings.Contains(err.Error(), "invalid_grant")
}

// skewed reports whether S3 does not take what was signed at that time.
func skewed(err error) bool {
	code := apiCode(err)
	return code == "RequestTimeTooSkewed" || code == "RequestExpired"
}

// apiCode returns the code of an error of S3, or an empty string.
func apiCode(err error) string {
	var s3 smithy.APIError
	if errors.As(err, &s3) {
		return s3.ErrorCode()
	}
	return ""
}
