package objectstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	tmtypes "github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"

	"kollect.io/kollect/pkg/sink"
)

const s3Needs = "accessKeyID and secretAccessKey (or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)"

func openS3(ctx context.Context, p *place, secret map[string][]byte, options Options) (bucket, error) {
	cfg, err := s3Config(ctx, p, secret, options)
	if err != nil {
		return nil, err
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = p.params["use_path_style"] == "true" || p.params["s3ForcePathStyle"] == "true"
		if endpoint := p.params["endpoint"]; endpoint != "" {
			o.BaseEndpoint = aws.String(endpoint)
		}
		if options.Client != nil {
			o.HTTPClient = options.Client
		}
	})
	b, err := s3blob.OpenBucket(ctx, client, p.bucket, &s3blob.Options{
		EncryptionType:             types.ServerSideEncryption(p.params["ssetype"]),
		KMSEncryptionID:            p.params["kmskeyid"],
		RequestChecksumCalculation: cfg.RequestChecksumCalculation,
	})
	if err != nil {
		return nil, fmt.Errorf("open bucket: %w", err)
	}
	return &blobs{
		bucket: b,
		class:  s3Class(p.params["storage_class"]),
		root:   "s3://" + p.bucket + "/",
		hint:   "s3:GetObject, s3:PutObject, s3:ListBucket and, for retention, s3:DeleteObject",
		version: func(r *blob.Reader) string {
			var out s3.GetObjectOutput
			if !r.As(&out) {
				return ""
			}
			return aws.ToString(out.ETag)
		},
		ifVersion: func(as func(any) bool, version string) error {
			var in *transfermanager.UploadObjectInput
			if !as(&in) {
				return errors.New("the driver takes no conditions")
			}
			in.IfMatch = aws.String(version)
			return nil
		},
	}, nil
}

// s3Config takes credentials from the Secret, and then nothing from the server:
// neither its environment nor its files.
func s3Config(ctx context.Context, p *place, secret map[string][]byte, options Options) (aws.Config, error) {
	region := p.params["region"]
	if region == "" {
		region = lookUp(secret, "region", "AWS_REGION")
	}
	id := lookUp(secret, "accessKeyID", "AWS_ACCESS_KEY_ID")
	key := lookUp(secret, "secretAccessKey", "AWS_SECRET_ACCESS_KEY")
	var cfg aws.Config
	switch {
	case id != "" && key != "":
		token := lookUp(secret, "sessionToken", "AWS_SESSION_TOKEN")
		cfg.Credentials = credentials.NewStaticCredentialsProvider(id, key, token)
		cfg.Region = region
		if cfg.Region == "" && p.params["endpoint"] != "" {
			cfg.Region = "us-east-1" // what compatible servers take
		}
	case secret != nil:
		return cfg, errSecret(s3Needs)
	default:
		if err := ambient(p, options, s3Needs); err != nil {
			return cfg, err
		}
		var err error
		if cfg, err = config.LoadDefaultConfig(ctx, config.WithRegion(region)); err != nil {
			return cfg, fmt.Errorf("find the server's own AWS credentials: %w", err)
		}
	}
	if cfg.Region == "" {
		return cfg, sink.Permanent(errors.New("spec.objectStore.url: add the bucket's region, as in ?region=eu-central-1"))
	}
	if p.params["request_checksum_calculation"] == "when_required" {
		cfg.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	}
	return cfg, nil
}

// s3Class has data written with the class; empty: the bucket's own.
func s3Class(class string) func(as func(any) bool) error {
	if class == "" {
		return nil
	}
	return func(as func(any) bool) error {
		var in *transfermanager.UploadObjectInput
		if !as(&in) {
			return errNoClass
		}
		in.StorageClass = tmtypes.StorageClass(class)
		return nil
	}
}
