package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// S3Config says where a store is and who asks.
type S3Config struct {
	// Endpoint is the store's URL; buckets are addressed by path.
	Endpoint  string
	Region    string
	AccessKey string
	SecretKey string
}

// S3 is a Bucket of a store that speaks the S3 protocol and honours
// If-None-Match and If-Match on writes.
type S3 struct {
	client *s3.Client
	bucket string
}

var _ Bucket = (*S3)(nil)

// Client makes the S3 client that Config describes.
func (c S3Config) Client() *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(c.Endpoint),
		Region:       c.Region,
		Credentials:  credentials.NewStaticCredentialsProvider(c.AccessKey, c.SecretKey, ""),
		UsePathStyle: true,
	})
}

// NewS3 returns the named bucket, which must exist.
func NewS3(client *s3.Client, bucket string) *S3 {
	return &S3{client: client, bucket: bucket}
}

// Get reads a whole object.
func (s *S3) Get(ctx context.Context, key string) (Object, error) {
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key})
	if err != nil {
		return Object{}, s.errorOf("get", key, err)
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	if err != nil {
		return Object{}, s.errorOf("get", key, err)
	}
	return Object{Body: body, ETag: plainETag(out.ETag)}, nil
}

// Head describes an object.
func (s *S3) Head(ctx context.Context, key string) (Info, error) {
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: &key})
	if err != nil {
		return Info{}, s.errorOf("head", key, err)
	}
	metadata := make(map[string]string, len(out.Metadata))
	for name, value := range out.Metadata {
		metadata[strings.ToLower(name)] = value
	}
	return Info{
		Key: key, ETag: plainETag(out.ETag), Version: plainVersion(out.VersionId), Size: aws.ToInt64(out.ContentLength),
		LastModified: aws.ToTime(out.LastModified), Metadata: metadata,
	}, nil
}

// Put writes whatever is there now.
func (s *S3) Put(ctx context.Context, key string, body []byte) error {
	return s.put(ctx, "put", key, body, &s3.PutObjectInput{})
}

// Create writes only if there is no object.
func (s *S3) Create(ctx context.Context, key string, body []byte) error {
	err := s.put(ctx, "create", key, body, &s3.PutObjectInput{IfNoneMatch: aws.String("*")})
	if errors.Is(err, ErrChanged) {
		return ErrExists
	}
	return err
}

// Replace writes only over the version with that ETag.
func (s *S3) Replace(ctx context.Context, key string, body []byte, etag string) error {
	err := s.put(ctx, "replace", key, body, &s3.PutObjectInput{IfMatch: aws.String(`"` + etag + `"`)})
	if errors.Is(err, ErrNotFound) {
		return ErrChanged
	}
	return err
}

// List describes the objects below a prefix.
func (s *S3) List(ctx context.Context, prefix string) ([]Info, error) {
	var list []Info
	pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, s.errorOf("list", prefix, err)
		}
		for _, o := range page.Contents {
			list = append(list, Info{
				Key: aws.ToString(o.Key), ETag: plainETag(o.ETag), Size: aws.ToInt64(o.Size), LastModified: aws.ToTime(o.LastModified),
			})
		}
	}
	return list, nil
}

func (s *S3) put(ctx context.Context, verb, key string, body []byte, in *s3.PutObjectInput) error {
	in.Bucket, in.Key, in.Body = &s.bucket, &key, bytes.NewReader(body)
	if _, err := s.client.PutObject(ctx, in); err != nil {
		return s.errorOf(verb, key, err)
	}
	return nil
}

// errorOf gives the errors that callers decide by their names. A conflict (409)
// means that another conditional write of the key is under way: the caller
// lost, just as with a failed precondition (412).
func (s *S3) errorOf(verb, key string, err error) error {
	var response *awshttp.ResponseError
	if errors.As(err, &response) {
		switch response.HTTPStatusCode() {
		case http.StatusNotFound:
			return fmt.Errorf("%s s3://%s/%s: %w", verb, s.bucket, key, ErrNotFound)
		case http.StatusPreconditionFailed, http.StatusConflict:
			return fmt.Errorf("%s s3://%s/%s: %w", verb, s.bucket, key, ErrChanged)
		}
	}
	return fmt.Errorf("%s s3://%s/%s: %w", verb, s.bucket, key, err)
}

func plainETag(etag *string) string { return strings.Trim(aws.ToString(etag), `"`) }

// plainVersion drops the word that stores use for "no versions here".
func plainVersion(v *string) string {
	if aws.ToString(v) == "null" {
		return ""
	}
	return aws.ToString(v)
}
