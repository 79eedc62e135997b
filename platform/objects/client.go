package objects

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Client is a new client of the store with its credentials. It opens no
// connection by itself and needs no closing.
func (s *Store) Client() *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(s.URL()),
		Region:       s.config.Region,
		UsePathStyle: true,
		Credentials:  credentials.NewStaticCredentialsProvider(s.config.AccessKey, s.config.SecretKey, ""),
	})
}
